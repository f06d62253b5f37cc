//! No address, API key, password or secret in Redis, logs or error texts (promise P5).

use ferry_seed::population;
use ferry_simulator::{Config, Faults};

use crate::world::{SECRET, World};

const USERS: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_or_secret_is_in_redis_logs_or_error_texts() {
    let faults = Faults { latency_ms: 10, lost_answers: 0.05, server_errors: 0.05, ..Faults::default() };
    let Some(mut world) = World::with("the scan", Config { faults, ..Config::default() }).await else {
        return;
    };
    let run = world.started(USERS, &["--batch-size", "10"]);
    world.worker(&["--log", "trace", "--log-format", "json"]);
    world.worker(&["--log", "trace"]);

    let mut texts = Vec::new();
    loop {
        texts.extend(everything_in_redis(&world).await);
        if world.show(&run)["state"] == "sealed" {
            break;
        }
    }
    assert!(texts.iter().any(|text| text.contains(&run)), "jobs were expected to pass through Redis");
    for worker in world.workers().iter_mut() {
        worker.stop();
        texts.push(std::fs::read_to_string(&worker.log).unwrap());
    }
    assert!(
        texts.iter().map(String::len).sum::<usize>() > 100_000,
        "the logs at trace level are too short to mean anything"
    );
    for form in ["json", "markdown", "csv"] {
        texts.push(world.place.run(&["run", "report", &run, "--output", form]).all());
    }
    texts.push(world.place.run(&["config", "show"]).all());
    world.place.set(
        "DATABASE_URL",
        world.database.url.replacen("://", "://nobody:hunter2-never@", 1).replacen("@postgres@", "@", 1),
    );
    texts.push(world.place.run(&["run", "list"]).all());
    world.place.set("AUTH0_CLIENT_SECRET", "wr0ng-hunter2-never");
    texts.push(world.place.run(&["worker", "--roles", "nobody"]).all());

    let forbidden = forbidden();
    for text in &texts {
        let lower = text.to_lowercase();
        for word in &forbidden {
            assert!(!lower.contains(word.as_str()), "{word} shows up in:\n{}", around(&lower, word));
        }
    }
    println!("{} texts, {} forbidden words, none found", texts.len(), forbidden.len());
    world.place.set("DATABASE_URL", world.database.url.clone());
    world.end().await;
}

fn forbidden() -> Vec<String> {
    let users = population(USERS, 7).unwrap();
    let mut words = vec![SECRET.to_lowercase(), "hunter2-never".to_owned()];
    for user in users.users() {
        words.push(user.api_key.to_lowercase());
        words.extend(user.email.map(|email| email.trim().to_lowercase()).filter(|email| email.contains('@')));
    }
    words
}

/// Every key with its value, whatever its type.
async fn everything_in_redis(world: &World) -> Vec<String> {
    let mut redis = world.redis().await;
    let pattern = format!("*{}*", world.database.name);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    let mut texts = keys.clone();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
        let read = match kind.as_str() {
            "string" => redis::cmd("GET").arg(&key).to_owned(),
            "hash" => redis::cmd("HGETALL").arg(&key).to_owned(),
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            "set" => redis::cmd("SMEMBERS").arg(&key).to_owned(),
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            _ => continue, // gone between the two calls
        };
        let value: redis::Value = read.query_async(&mut redis).await.unwrap_or(redis::Value::Nil);
        texts.push(shown(&value));
    }
    texts
}

fn shown(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::Array(values) | redis::Value::Set(values) => {
            values.iter().map(shown).collect::<Vec<_>>().join(" ")
        }
        redis::Value::Map(pairs) => pairs.iter().map(|(k, v)| format!("{} {}", shown(k), shown(v))).collect(),
        other => format!("{other:?}"),
    }
}

fn around(text: &str, word: &str) -> String {
    let at = text.find(word).unwrap_or(0);
    text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(500).collect()
}
