//! Tables of PostgreSQL: one database, a schema for each shape.

use std::sync::Arc;

use ferry_domain::ports::{Ledger, Planning};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_sources::{Location, RowSecurity};
use ferry_testbed::Database;
use sqlx::AssertSqlSafe;

use super::{Became, Moves, Refused, STRANGERS, Shape, mapping, moved};

const PLAIN: &str = "CREATE TABLE @.users (id serial PRIMARY KEY, email text NOT NULL);
     INSERT INTO @.users (email) SELECT 'u' || n || '@example.com' FROM generate_series(1, 20) AS n;";

/// A trigger before updates, around what it does.
macro_rules! before_update {
    ($does:literal) => {
        concat!(
            "CREATE TABLE @.users (id serial PRIMARY KEY, email text NOT NULL);
             INSERT INTO @.users (email) SELECT 'u' || n || '@example.com' FROM generate_series(1, 20) AS n;
             CREATE FUNCTION @.act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ",
            $does,
            " RETURN new; END $$;
             CREATE TRIGGER act BEFORE UPDATE ON @.users FOR EACH ROW EXECUTE FUNCTION @.act()"
        )
    };
}

/// A table whose key is of another type.
macro_rules! keyed {
    ($kind:literal, $key:literal) => {
        concat!(
            "CREATE TABLE @.users (id ",
            $kind,
            " PRIMARY KEY, email text NOT NULL);
             INSERT INTO @.users SELECT ",
            $key,
            ", 'u' || n || '@example.com' FROM generate_series(1, 20) AS n"
        )
    };
}

/// A table with a column for ids of its own.
macro_rules! with_column {
    ($column:literal) => {
        concat!(
            "CREATE TABLE @.users (id serial PRIMARY KEY, email text NOT NULL, auth0_user_id ", $column, ");
             INSERT INTO @.users (email) SELECT 'u' || n || '@example.com' FROM generate_series(1, 20) AS n"
        )
    };
}

const SHAPES: &[Shape] = &[
    Shape { name: "a plain table", sql: PLAIN, expected: Moves(20, &[]) },
    Shape {
        name: "columns of every kind beside",
        sql: "CREATE DOMAIN @.address AS text CHECK (VALUE LIKE '%@%'); CREATE TYPE @.mood AS ENUM ('a', 'b');
              CREATE TABLE @.users (id text PRIMARY KEY, email @.address NOT NULL, mood @.mood DEFAULT 'a',
                  paid numeric DEFAULT 1.5, cash money DEFAULT 2, host inet DEFAULT '10.0.0.1', tags text[] DEFAULT '{x}',
                  bits bytea DEFAULT '\\x00', \"createdAt\" timestamptz DEFAULT now(), data jsonb DEFAULT '{}');
              INSERT INTO @.users (id, email) SELECT 'c' || n, 'u' || n || '@example.com' FROM generate_series(1, 20) AS n",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a computed address",
        sql: "CREATE TABLE @.users (id serial PRIMARY KEY, nick text, email text GENERATED ALWAYS AS (nick || '@example.com') STORED);
              INSERT INTO @.users (nick) SELECT 'u' || n FROM generate_series(1, 20) AS n",
        expected: Moves(20, &[]),
    },
    Shape { name: "a large number as key", sql: keyed!("bigint", "9223372036854775000 + n"), expected: Moves(20, &[]) },
    Shape { name: "a uuid as key", sql: keyed!("uuid", "gen_random_uuid()"), expected: Moves(20, &[]) },
    Shape { name: "a padded text as key", sql: keyed!("char(36)", "'k' || n"), expected: Moves(20, &[]) },
    Shape { name: "a decimal as key", sql: keyed!("numeric(12, 2)", "n + 0.5"), expected: Moves(20, &[]) },
    Shape { name: "bytes as key", sql: keyed!("bytea", "decode(lpad(to_hex(n), 8, '0'), 'hex')"), expected: Moves(20, &[]) },
    Shape { name: "a time as key", sql: keyed!("timestamptz", "now() + n * interval '1 day'"), expected: Moves(20, &[]) },
    Shape { name: "an address as key", sql: keyed!("text", "'u' || n || '@example.com'"), expected: Moves(20, &[]) },
    Shape {
        name: "a key of two columns, the mapped one unique",
        sql: "CREATE TABLE @.users (tenant text, id int, email text NOT NULL, PRIMARY KEY (tenant, id));
              INSERT INTO @.users SELECT 'a', n, 'u' || n || '@example.com' FROM generate_series(1, 20) AS n",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a key of two columns, the mapped one shared",
        sql: "CREATE TABLE @.users (tenant text, id int, email text NOT NULL, PRIMARY KEY (tenant, id));
              INSERT INTO @.users SELECT 'a', n, 'a' || n || '@example.com' FROM generate_series(1, 3) AS n;
              INSERT INTO @.users SELECT 'b', n, 'b' || n || '@example.com' FROM generate_series(1, 5) AS n",
        expected: Moves(2, &["APP_KEY_SHARED", "DUPLICATE_KEY"]),
    },
    Shape {
        name: "partitions by hash of the key",
        sql: "CREATE TABLE @.users (id int PRIMARY KEY, email text NOT NULL) PARTITION BY HASH (id);
              CREATE TABLE @.users_0 PARTITION OF @.users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
              CREATE TABLE @.users_1 PARTITION OF @.users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
              INSERT INTO @.users SELECT n, 'u' || n || '@example.com' FROM generate_series(1, 20) AS n",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "partitions by tenant, the key unique in each only",
        sql: "CREATE TABLE @.users (tenant text, id int, email text NOT NULL, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
              CREATE TABLE @.users_a PARTITION OF @.users FOR VALUES IN ('a');
              CREATE TABLE @.users_b PARTITION OF @.users FOR VALUES IN ('b');
              INSERT INTO @.users SELECT 'a', n, 'a' || n || '@example.com' FROM generate_series(1, 3) AS n;
              INSERT INTO @.users SELECT 'b', n, 'b' || n || '@example.com' FROM generate_series(1, 5) AS n",
        expected: Moves(2, &["APP_KEY_SHARED", "DUPLICATE_KEY"]),
    },
    Shape {
        name: "a table that inherits, with keys of its own",
        sql: "CREATE TABLE @.users (id int PRIMARY KEY, email text NOT NULL); CREATE TABLE @.admins () INHERITS (@.users);
              INSERT INTO @.users SELECT n, 'u' || n || '@example.com' FROM generate_series(1, 15) AS n;
              INSERT INTO @.admins SELECT n, 'u' || n || '@example.com' FROM generate_series(16, 20) AS n",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a table that inherits, with the same keys",
        sql: "CREATE TABLE @.users (id int PRIMARY KEY, email text NOT NULL); CREATE TABLE @.admins () INHERITS (@.users);
              INSERT INTO @.users SELECT n, 'u' || n || '@example.com' FROM generate_series(1, 5) AS n;
              INSERT INTO @.admins SELECT n, 'a' || n || '@example.com' FROM generate_series(1, 3) AS n",
        expected: Moves(2, &["APP_KEY_SHARED", "DUPLICATE_KEY"]),
    },
    Shape {
        name: "a view over one table",
        sql: "CREATE TABLE @.people (id serial PRIMARY KEY, email text NOT NULL, auth0_user_id text, hidden bool DEFAULT false);
              INSERT INTO @.people (email) SELECT 'u' || n || '@example.com' FROM generate_series(1, 20) AS n;
              CREATE VIEW @.users AS SELECT id, email, auth0_user_id FROM @.people WHERE NOT hidden",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a view over two tables",
        sql: "CREATE TABLE @.people (id serial PRIMARY KEY, auth0_user_id text);
              CREATE TABLE @.emails (person int, email text);
              CREATE VIEW @.users AS SELECT id, email, auth0_user_id FROM @.people JOIN @.emails ON person = id",
        expected: Refused("users is a view"),
    },
    Shape {
        name: "a view without a column for ids",
        sql: "CREATE TABLE @.people (id serial PRIMARY KEY, email text); CREATE VIEW @.users AS SELECT * FROM @.people",
        expected: Refused("add the column to the table behind it"),
    },
    Shape { name: "a version counted by a trigger", sql: before_update!("new.email := new.email;"), expected: Moves(20, &[]) },
    Shape {
        name: "a trigger that raises for one row",
        sql: before_update!("IF new.id = 7 THEN RAISE EXCEPTION 'frozen'; END IF;"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger that raises a code of its own",
        sql: before_update!("IF new.id = 7 THEN RAISE EXCEPTION 'frozen' USING errcode = 'APP01'; END IF;"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "triggers that raise codes of the server",
        sql: before_update!(
            "IF new.id = 3 THEN RAISE EXCEPTION 'x' USING errcode = '55000'; END IF;
             IF new.id = 9 THEN RAISE EXCEPTION 'x' USING errcode = '42501'; END IF;
             IF new.id = 20 THEN RAISE EXCEPTION 'x' USING errcode = '0A000'; END IF;
             IF new.id = 1 THEN PERFORM count(*) FROM no_such_table; END IF;"
        ),
        expected: Moves(16, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger that leaves one row as it is",
        sql: before_update!("IF new.id = 7 THEN RETURN NULL; END IF;"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger whose own table is full of rules",
        sql: concat!(
            "CREATE TABLE @.seen (even int UNIQUE);",
            before_update!("INSERT INTO @.seen VALUES (CASE WHEN new.id IN (4, 5) THEN 0 ELSE new.id END);")
        ),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger at the end of the transaction",
        sql: "CREATE TABLE @.users (id serial PRIMARY KEY, email text NOT NULL);
              INSERT INTO @.users (email) SELECT 'u' || n || '@example.com' FROM generate_series(1, 20) AS n;
              CREATE FUNCTION @.act() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN IF new.id = 7 THEN RAISE EXCEPTION 'frozen'; END IF; RETURN NULL; END $$;
              CREATE CONSTRAINT TRIGGER act AFTER UPDATE ON @.users DEFERRABLE INITIALLY DEFERRED
                  FOR EACH ROW EXECUTE FUNCTION @.act()",
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a rule instead of the update",
        sql: "CREATE TABLE @.users (id serial PRIMARY KEY, email text NOT NULL, auth0_user_id text);
              CREATE RULE act AS ON UPDATE TO @.users DO INSTEAD NOTHING",
        expected: Refused("SQLSTATE 0A000"),
    },
    Shape { name: "a short column for ids", sql: with_column!("varchar(20)"), expected: Refused("takes 20 characters") },
    Shape { name: "a column for ids that just suffices", sql: with_column!("varchar(42)"), expected: Moves(20, &[]) },
    Shape { name: "blanks for none", sql: with_column!("text NOT NULL DEFAULT ''"), expected: Moves(20, &[]) },
    Shape { name: "a uuid for ids", sql: with_column!("uuid"), expected: Refused("is not text") },
    Shape {
        name: "a computed column for ids",
        sql: with_column!("text GENERATED ALWAYS AS (md5(email)) STORED"),
        expected: Refused("is computed"),
    },
    Shape {
        name: "a check that refuses one row",
        sql: with_column!("text CHECK (auth0_user_id NOT LIKE '%u7@%')"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
];

/// Tables that the database user only partly sees or may change; `#` stands for the user.
const SHAPES_OF_USERS: &[(bool, Shape)] = &[
    (
        false,
        Shape {
            name: "policies that hide rows",
            sql: "ALTER TABLE @.users OWNER TO #; ALTER TABLE @.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                  CREATE POLICY act ON @.users USING (id <= 15)",
            expected: Refused("row-level security"),
        },
    ),
    (
        true,
        Shape {
            name: "policies that hide rows, accepted",
            sql: "ALTER TABLE @.users OWNER TO #; ALTER TABLE @.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                  CREATE POLICY act ON @.users USING (id <= 15)",
            expected: Moves(15, &[]),
        },
    ),
    (
        true,
        Shape {
            name: "policies that refuse changed rows",
            sql: "ALTER TABLE @.users OWNER TO #; ALTER TABLE @.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                  CREATE POLICY see ON @.users FOR SELECT USING (true);
                  CREATE POLICY act ON @.users FOR UPDATE USING (true) WITH CHECK (id > 5)",
            expected: Moves(15, &["APP_ROW_REFUSED"]),
        },
    ),
    (
        true,
        Shape {
            name: "policies that hide rows from changes",
            sql: "ALTER TABLE @.users OWNER TO #; ALTER TABLE @.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                  CREATE POLICY see ON @.users FOR SELECT USING (true);
                  CREATE POLICY act ON @.users FOR UPDATE USING (id > 5)",
            expected: Moves(15, &["APP_ROW_CHANGED"]),
        },
    ),
    (
        false,
        Shape {
            name: "policies that hide rows behind a view",
            sql: "ALTER TABLE @.users RENAME TO people; ALTER TABLE @.people ADD auth0_user_id text;
                  ALTER TABLE @.people ENABLE ROW LEVEL SECURITY; CREATE POLICY act ON @.people USING (id <= 15);
                  GRANT ALL ON @.people TO #; CREATE VIEW @.users AS SELECT * FROM @.people; ALTER VIEW @.users OWNER TO #",
            expected: Refused("row-level security"),
        },
    ),
    (
        false,
        Shape {
            name: "an id that may be written and not read",
            sql: "ALTER TABLE @.users ADD auth0_user_id text; CREATE UNIQUE INDEX ON @.users (auth0_user_id);
                  GRANT SELECT (id, email), UPDATE (auth0_user_id) ON @.users TO #",
            expected: Refused("SELECT on auth0_user_id"),
        },
    ),
    (
        false,
        Shape {
            name: "just the privileges that are asked for",
            sql: "ALTER TABLE @.users ADD auth0_user_id text; CREATE UNIQUE INDEX ON @.users (auth0_user_id);
                  GRANT SELECT (id, email, auth0_user_id), UPDATE (auth0_user_id) ON @.users TO #",
            expected: Moves(20, &[]),
        },
    ),
    (
        false,
        Shape {
            name: "a table of another user without the column",
            sql: "GRANT SELECT, UPDATE ON @.users TO #",
            expected: Refused("only the owner"),
        },
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_user_of_a_table_of_postgres_is_moved_or_refused_with_a_reason() {
    let Some(database) = Database::new().await else { return };
    let ledger = PostgresLedger::connect(&database.url, Options::default()).await.unwrap();
    ledger.migrate().await.unwrap();
    let ledger: Arc<dyn Ledger> = Arc::new(ledger);
    let mut wrong = Vec::new();
    for (number, shape) in (1_u64..).zip(SHAPES) {
        let schema = format!("shape_{number}");
        database
            .execute(&format!("CREATE SCHEMA {schema}; {}", shape.sql.replace("@.", &format!("{schema}."))))
            .await;
        let location = Location::Postgres { url: database.url.clone().into() };
        let became = moved(&ledger, &location, &mapping(Some(&schema)), number).await;
        wrong.extend(shape.check(&became).err());
        if let Became::Moved(ids, _) = became {
            wrong.extend(strangers(&database, &schema, shape.name, ids).await);
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_database_user_does_not_see_is_never_left_out_without_a_word() {
    let Some(database) = Database::new().await else { return };
    PostgresLedger::connect(&database.url, Options::default()).await.unwrap().migrate().await.unwrap();
    let user = format!("{}_user", database.name);
    database
        .execute(&format!(
            "CREATE ROLE {user} LOGIN; GRANT USAGE ON SCHEMA ferry TO {user};
             GRANT ALL ON ALL TABLES IN SCHEMA ferry TO {user}; GRANT ALL ON ALL SEQUENCES IN SCHEMA ferry TO {user}"
        ))
        .await;
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_username(&user).unwrap();
    let ledger: Arc<dyn Ledger> =
        Arc::new(PostgresLedger::connect(url.as_str(), Options::default()).await.unwrap());
    let mut wrong = Vec::new();
    for (number, (accepts, shape)) in (1_u64..).zip(SHAPES_OF_USERS) {
        let schema = format!("shape_{number}");
        let sql = format!("{PLAIN}; GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}; {}", shape.sql);
        let sql = sql.replace("@.", &format!("{schema}.")).replace('#', &user);
        database.execute(&format!("CREATE SCHEMA {schema}; {sql}")).await;
        let location = Location::Postgres { url: url.as_str().to_owned().into() };
        let mut mapping = mapping(Some(&schema));
        if *accepts {
            mapping.row_security = RowSecurity::Accept;
        }
        let became = moved(&ledger, &location, &mapping, number).await;
        wrong.extend(shape.check(&became).err());
        if let Became::Moved(ids, _) = became {
            wrong.extend(strangers(&database, &schema, shape.name, ids).await);
        }
    }
    drop(ledger);
    database.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}")).await;
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What is wrong with the ids in a table: another's, or not as many as there were users.
async fn strangers(database: &Database, schema: &str, name: &str, moved: usize) -> Option<String> {
    let ask = async |sql: String| -> i64 {
        let sql = sql.replace('@', &format!("{schema}."));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut database.connect().await).await.unwrap()
    };
    let strange = ask(STRANGERS.to_owned()).await;
    let ids = ask("SELECT count(*) FROM @users WHERE trim(auth0_user_id) <> ''".to_owned()).await;
    let good = strange == 0 && ids == i64::try_from(moved).unwrap();
    (!good).then(|| format!("{name}: {ids} ids for {moved} users, {strange} of them another's"))
}
