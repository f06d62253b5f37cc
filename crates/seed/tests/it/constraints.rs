//! The tables take what the application would take, and refuse garbage.

use ferry_seed::{WriteOptions, population, write};

use crate::world::targets;

const GARBAGE: [(&str, &str); 14] = [
    (
        "an unknown role",
        "INSERT INTO users VALUES (901, 'a@example.com', 'A', 'king', 1, NULL, true, false, 'k', '2024-01-01T00:00:00Z')",
    ),
    (
        "an unknown hospital",
        "INSERT INTO users VALUES (901, 'a@example.com', 'A', 'nurse', 99, NULL, true, false, 'k', '2024-01-01T00:00:00Z')",
    ),
    (
        "an unknown ward",
        "INSERT INTO users VALUES (901, 'a@example.com', 'A', 'nurse', 1, 999, true, false, 'k', '2024-01-01T00:00:00Z')",
    ),
    (
        "no name",
        "INSERT INTO users VALUES (901, 'a@example.com', NULL, 'nurse', 1, NULL, true, false, 'k', '2024-01-01T00:00:00Z')",
    ),
    (
        "no key",
        "INSERT INTO users VALUES (901, 'a@example.com', 'A', 'nurse', 1, NULL, true, false, NULL, '2024-01-01T00:00:00Z')",
    ),
    (
        "neither active nor not",
        "INSERT INTO users VALUES (901, 'a@example.com', 'A', 'nurse', 1, NULL, NULL, false, 'k', '2024-01-01T00:00:00Z')",
    ),
    (
        "a key twice",
        "INSERT INTO users SELECT 901, email, name, role, hospital_id, ward_id, active, blocked, api_key, created_at FROM users WHERE id = 1",
    ),
    (
        "an id twice",
        "INSERT INTO users SELECT id, email, name, role, hospital_id, ward_id, active, blocked, 'k', created_at FROM users WHERE id = 1",
    ),
    ("a hospital's code twice", "INSERT INTO hospitals VALUES (99, 'H-01', 'A', false)"),
    ("a hospital without name", "INSERT INTO hospitals VALUES (99, 'H-99', NULL, false)"),
    ("a ward's code twice in a hospital", "INSERT INTO wards VALUES (999, 1, 'W1', 'A')"),
    ("a ward of no hospital", "INSERT INTO wards VALUES (999, 99, 'W1', 'A')"),
    ("a permission of nobody", "INSERT INTO permissions VALUES (901, 1, 'orders:read')"),
    (
        "a permission twice",
        "INSERT INTO permissions SELECT user_id, hospital_id, permission FROM permissions WHERE user_id = 1",
    ),
];

#[tokio::test]
async fn garbage_is_refused() {
    let population = population(40, 7).unwrap();
    for target in targets().await {
        write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap();
        let mut session = target.session().await;
        for (what, sql) in GARBAGE {
            let refused = session.run(sql).await;
            let is_constraint = matches!(
                &refused,
                Err(sqlx::Error::Database(error)) if error.kind() != sqlx::error::ErrorKind::Other
            );
            assert!(is_constraint, "{what}: {refused:?}");
        }
        assert_eq!(session.number("SELECT count(*) FROM users").await, 40);
    }
}

#[tokio::test]
async fn what_the_application_allowed_is_allowed() {
    let population = population(40, 7).unwrap();
    for target in targets().await {
        write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap();
        let mut session = target.session().await;
        session
            .run("INSERT INTO users SELECT 901, upper(email), name, role, hospital_id, NULL, active, blocked, 'k1', created_at FROM users WHERE id = 1")
            .await
            .unwrap();
        session
            .run("INSERT INTO users (id, name, role, hospital_id, active, api_key, created_at) VALUES (902, 'B', 'auditor', 2, false, 'k2', '2024-01-01T00:00:00Z')")
            .await
            .unwrap();
        let defaults = "SELECT count(*) FROM users WHERE id = 902 AND NOT blocked AND email IS NULL";
        assert_eq!(session.number(defaults).await, 1);
    }
}
