//! What must hold after every scenario, whatever was broken in it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;

use crate::{results::Counts, scene::Scene};

const OUTCOMES: [&str; 7] = ["created", "adopted", "skipped", "conflict", "failed", "cancelled", "pending"];

/// Counts, and what does not hold.
pub async fn check(scene: &Scene) -> (Counts, Vec<String>) {
    let mut faults = Vec::new();
    let mut counts = Counts { users: scene.number("SELECT count(*) FROM users").await, ..Counts::default() };
    counts.lost = everybody_ended(scene, &mut faults).await;
    counts.doubled = nobody_twice(scene, &mut faults);
    counts.repeated_requests = repeated(scene).await;
    ids_match(scene, &mut faults).await;
    events_match(scene, &mut faults).await;
    counts_agree(scene, &mut faults).await;
    nothing_shown(scene, &mut faults).await;
    (counts, faults)
}

/// Every user has exactly one id, or a recorded final reason.
async fn everybody_ended(scene: &Scene, faults: &mut Vec<String>) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM users u LEFT JOIN ferry.items i ON i.run_id = '{}' AND i.key = u.id::text
         WHERE coalesce(NOT (
            (i.state IN ('created', 'adopted') AND u.auth0_user_id = i.auth0_user_id)
            OR (i.state IN ('skipped', 'failed', 'conflict') AND i.code IS NOT NULL)
            OR (i.state = 'cancelled' AND u.auth0_user_id IS NULL)), true)",
        scene.run
    );
    let lost = scene.number(&sql).await;
    if lost != 0 {
        faults.push(format!("{lost} users have neither an id nor a reason"));
    }
    lost
}

/// By the mark that Ferry leaves, and by address.
fn nobody_twice(scene: &Scene, faults: &mut Vec<String>) -> i64 {
    let (mut marks, mut addresses) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, i64>::new());
    for user in scene.simulator.users() {
        let mark = user.app_metadata.as_ref().map(|data| data["ferry"]["source_key"].clone());
        if let Some(mark) = mark.filter(|mark| !mark.is_null()) {
            *marks.entry(mark.to_string()).or_default() += 1;
        }
        *addresses.entry(user.email).or_default() += 1;
    }
    let doubled = [&marks, &addresses].map(|seen| seen.values().filter(|times| **times > 1).count());
    if doubled != [0, 0] {
        faults.push(format!("users twice at Auth0: {} by key, {} by address", doubled[0], doubled[1]));
    }
    i64::try_from(doubled[0].max(doubled[1])).unwrap()
}

/// Requests to create beyond one for each user that a worker had to create and got through.
async fn repeated(scene: &Scene) -> i64 {
    let needed = "SELECT count(*) FROM ferry.items i WHERE state NOT IN ('cancelled', 'pending')
        AND code IS DISTINCT FROM 'CRASHED_WORKER'
        AND EXISTS (SELECT FROM ferry.jobs j WHERE j.batch_id = i.batch_id AND j.kind = 'provision')";
    let asked = scene.simulator.stats().requests_to("POST /api/v2/users");
    i64::try_from(asked).unwrap() - scene.number(needed).await
}

/// The ids in the application are those at Auth0, each with its own address.
async fn ids_match(scene: &Scene, faults: &mut Vec<String>) {
    let sql = "SELECT lower(trim(email)), auth0_user_id FROM users WHERE auth0_user_id IS NOT NULL";
    let rows = sqlx::query(sql).fetch_all(&scene.pool).await.unwrap();
    let mut known = BTreeSet::new();
    for row in rows {
        let (address, id): (String, String) = (row.get(0), row.get(1));
        match scene.simulator.user(&id) {
            None => faults.push(format!("{id} is not at Auth0")),
            Some(user) if user.email != address => faults.push(format!("{id} belongs to somebody else")),
            Some(_) => {}
        }
        if !known.insert(id.clone()) {
            faults.push(format!("{id} is in two rows"));
        }
    }
    let ours =
        scene.simulator.users().into_iter().filter(|user| {
            user.app_metadata.as_ref().is_some_and(|data| !data["ferry"]["source_key"].is_null())
        });
    let forgotten = ours.filter(|user| !known.contains(&user.user_id)).count();
    if forgotten != 0 {
        faults.push(format!("{forgotten} users were created at Auth0 and forgotten here"));
    }
}

/// One completion event for each batch that was provisioned, and each was consumed.
async fn events_match(scene: &Scene, faults: &mut Vec<String>) {
    let wrong = "SELECT count(*) FROM ferry.batches b WHERE b.provisioned_at IS NOT NULL
        AND EXISTS (SELECT FROM ferry.jobs p WHERE p.batch_id = b.id AND p.kind = 'provision')
        AND (SELECT count(*) FROM ferry.jobs v
             WHERE v.batch_id = b.id AND v.kind = 'verify' AND v.state IN ('done', 'dead')) <> 1";
    let open = "SELECT count(*) FROM ferry.jobs WHERE state NOT IN ('done', 'dead')";
    let ended = "SELECT count(*) FROM ferry.batches WHERE state = 'open' AND source > 0
        AND run_id IN (SELECT id FROM ferry.runs WHERE state = 'sealed')";
    for (sql, what) in [
        (wrong, "provisioned batches without exactly one consumed completion event"),
        (open, "jobs are left in the ledger"),
        (ended, "batches of a sealed run are open"),
    ] {
        let count = scene.number(sql).await;
        if count != 0 {
            faults.push(format!("{count} {what}"));
        }
    }
}

/// The command says what the database says, and it adds up.
async fn counts_agree(scene: &Scene, faults: &mut Vec<String>) {
    let shown = scene.place.json(&["run", "show", &scene.run, "--output", "json"]);
    let sql = "SELECT state, count(*) FROM ferry.items WHERE run_id::text = $1 GROUP BY state";
    let rows = sqlx::query(sql).bind(&scene.run).fetch_all(&scene.pool).await.unwrap();
    let stored: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut sum = 0;
    for outcome in OUTCOMES {
        let (told, is) = (shown[outcome].as_i64(), stored.get(outcome).copied().unwrap_or(0));
        sum += is;
        if told != Some(is) {
            faults.push(format!("run show says {told:?} {outcome}, the items say {is}"));
        }
    }
    if shown["source"].as_i64() != Some(sum) || shown["pending"] != 0 {
        faults.push(format!("the sums do not add up: {shown}"));
    }
}

/// No address in a log or in Redis.
async fn nothing_shown(scene: &Scene, faults: &mut Vec<String>) {
    let rows = sqlx::query("SELECT lower(trim(email)) FROM users WHERE email LIKE '%@%'")
        .fetch_all(&scene.pool)
        .await
        .unwrap();
    let mut texts: Vec<(String, String)> = scene
        .workers
        .iter()
        .enumerate()
        .map(|(number, worker)| (format!("the log of worker {number}"), worker.said()))
        .collect();
    texts.push(("Redis".to_owned(), everything_in_redis(scene).await));
    for (place, text) in texts {
        let text = text.to_lowercase();
        let shown = rows.iter().filter(|row| text.contains(&row.get::<String, _>(0))).count();
        if shown != 0 {
            faults.push(format!("{shown} addresses are in {place}"));
        }
        if text.contains(&crate::scene::SECRET.to_lowercase()) {
            faults.push(format!("the secret is in {place}"));
        }
    }
}

/// All keys of this scenario with what they hold, as text.
pub async fn everything_in_redis(scene: &Scene) -> String {
    let mut redis = scene.redis().await;
    let pattern = format!("*{}*", scene.database.name);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    let mut text = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
        let mut read = match kind.as_str() {
            "string" => redis::cmd("GET"),
            "hash" => redis::cmd("HGETALL"),
            "set" => redis::cmd("SMEMBERS"),
            "list" => redis::cmd("LRANGE"),
            "zset" => redis::cmd("ZRANGE"),
            _ => continue,
        };
        read.arg(&key);
        if matches!(kind.as_str(), "list" | "zset") {
            read.arg(0).arg(-1);
        }
        let value: redis::Value = read.query_async(&mut redis).await.unwrap();
        text.push_str(&format!("{key} {}\n", plain(&value)));
    }
    text
}

fn plain(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::Array(parts) | redis::Value::Set(parts) => {
            parts.iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        redis::Value::Map(pairs) => {
            pairs.iter().map(|(k, v)| format!("{} {}", plain(k), plain(v))).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}
