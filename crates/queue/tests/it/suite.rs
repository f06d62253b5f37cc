//! The queue in Redis passes the suite, and says why it can't be reached.

use std::sync::Arc;

use ferry_contract::queue::QueueWorld;
use ferry_queue::{RedisOptions, RedisQueue};

use crate::support::RedisWorld;

async fn world() -> Option<Arc<dyn QueueWorld>> {
    RedisWorld::given().await.map(|world| world as Arc<dyn QueueWorld>)
}

ferry_contract::queue_suite!(
    #[tokio::test(flavor = "multi_thread")]
    world
);

async fn refusal(url: &str, namespace: &str) -> String {
    match RedisQueue::connect(
        url,
        RedisOptions { namespace: namespace.to_owned(), ..RedisOptions::default() },
    )
    .await
    {
        Ok(_) => panic!("{url} was reached"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_place_and_without_the_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = refusal(&format!("redis://ferry:s3cret@127.0.0.1:{port}/2"), "ferry").await;
    assert!(said.contains(&format!("127.0.0.1:{port}/2")), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn somebody_who_never_answers_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = refusal(&format!("redis://{}", silent.local_addr().unwrap()), "ferry").await;
    assert!(said.contains("REDIS_URL"), "{said}");
}

#[tokio::test]
async fn what_is_no_address_is_not_repeated() {
    for url in ["", "localhost:6379", "http://:s3cret@host", "redis://:s3cret@host:notaport"] {
        let said = refusal(url, "ferry").await;
        assert!(said.contains("expected redis://") && !said.contains("s3cret"), "{url}: {said}");
    }
}

#[tokio::test]
async fn a_namespace_that_would_split_the_keys_is_refused() {
    for namespace in ["", "a}b", "two words"] {
        let said = refusal("redis://127.0.0.1", namespace).await;
        assert!(said.contains("namespace"), "{said}");
    }
}
