//! Redis servers as they are run: behind TLS with an authority of one's own, and with users who may do little.

use std::{path::Path, process::Command};

use ferry_testbed::{OwnRedis, free_port, redis_at};

use crate::world::World;

/// The certificates of an authority that no system knows, and of a server that it vouches for.
fn certificates(folder: &Path) {
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for order in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Private -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    ] {
        let made = Command::new("openssl").args(order.split(' ')).current_dir(folder).output();
        let made = made.expect("openssl is installed");
        assert!(made.status.success(), "{order}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_with_a_private_authority_moves_all_users_once_its_certificate_is_named() {
    let Some(mut world) = World::new("redis tls").await else { return };
    let home = tempfile::tempdir().unwrap();
    certificates(home.path());
    let file = |name: &str| home.path().join(name).display().to_string();
    let port = free_port();
    let options = [
        ["--tls-port".to_owned(), port.to_string()],
        ["--tls-cert-file".to_owned(), file("server.pem")],
        ["--tls-key-file".to_owned(), file("server.key")],
        ["--tls-ca-cert-file".to_owned(), file("ca.pem")],
        ["--tls-auth-clients".to_owned(), "no".to_owned()],
    ];
    let options: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
    let Some(_server) = OwnRedis::private(&options) else { return };
    let run = world.started(60, &[]);
    world.place.set("REDIS_URL", format!("rediss://127.0.0.1:{port}"));
    let unknown = world.place.run(&["check"]);
    assert_eq!(unknown.code, 10, "{}", unknown.all());
    assert!(unknown.out.contains("REDIS_CA_FILE"), "{}", unknown.all());

    world.place.set("REDIS_CA_FILE", file("ca.pem"));
    let checked = world.place.run(&["check"]);
    assert!(checked.out.contains("a worker can register, take, end and sign off"), "{}", checked.all());
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_ask_for_info_moves_all_users_and_check_says_what_it_did_not_see() {
    let Some(mut world) = World::new("redis without info").await else { return };
    let Some(server) = OwnRedis::private(&[]) else { return };
    let mut admin = redis_at(&server.url()).await;
    let user = ["SETUSER", "svc", "reset", "on", ">pw-never-shown", "~*", "&*", "+@all", "-info"];
    redis::cmd("ACL").arg(&user).exec_async(&mut admin).await.unwrap();
    let run = world.started(60, &[]);
    world.place.set("REDIS_URL", format!("redis://svc:pw-never-shown@127.0.0.1:{}", server.port));
    let checked = world.place.run(&["check"]);
    assert_eq!(checked.code, 11, "nothing that is wrong: {}", checked.all());
    assert!(checked.out.contains("the server was not looked at"), "{}", checked.all());
    assert!(checked.out.contains("a worker can register, take, end and sign off"), "{}", checked.all());
    assert!(!checked.all().contains("pw-never-shown"), "{}", checked.all());
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}
