//! The application's table in the catalogue.
//!
//! A name without a schema is looked up as the search path leads, and in the ledger's own
//! schema last: PostgreSQL's default path begins with the schema of the user's name, and a user
//! called `ferry` would find the ledger's tables first. The source is found by the same rule
//! (`crates/sources/src/table_postgres.rs`), or ids would go to another table than was read.

use ferry_domain::{
    WriteBackTarget,
    application::{AppTable, IdColumn, Relation, no_table},
};
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr, query};

use super::{fault, write};
use crate::errors::{self, Tried};

/// The application's table, with its names as they are written in a statement.
pub(crate) struct Found {
    pub table: AppTable,
    pub oid: i64,
    /// With its schema, quoted.
    pub name: String,
    /// Quoted.
    pub key: String,
    pub key_type: String,
    /// Quoted.
    pub id: String,
    /// The address of a row `app`, as text; where it is in a column of this table that may be read.
    pub email: Option<String>,
    /// Whether the database user may change its shape.
    pub owned: bool,
}

/// Looks a target up.
pub(crate) async fn look(connection: &mut PgConnection, target: &WriteBackTarget) -> Tried<Found> {
    look_unlocked(connection, target).await.map_err(|fault| fault.over_table(target))
}

async fn look_unlocked(connection: &mut PgConnection, target: &WriteBackTarget) -> Tried<Found> {
    let mut found = catalogue(connection, target).await?.ok_or_else(|| no_table(target))?;
    if found.table.check_writing().is_ok() {
        // Parsed and rewritten by the server, not run: rules, and types without an equality, show here.
        let statement = AssertSqlSafe(write::update(&found)).into_sql_str();
        if let Err(error) = (&mut *connection).prepare(statement).await {
            let code = errors::database(&error).map(|refused| refused.code().to_owned());
            // A lock or a shutdown says nothing about the table.
            let code = code.filter(|code| !fault::is_the_servers(code)).ok_or(error)?;
            found.table.unprepared = Some(format!("SQLSTATE {code}"));
        }
    }
    Ok(found)
}

async fn catalogue(
    connection: &mut PgConnection,
    target: &WriteBackTarget,
) -> Result<Option<Found>, sqlx::Error> {
    // format_type with -1: without a length, but `bpchar` instead of `character`,
    // which as a cast would mean one character. A domain's limits are those of what it is made of.
    let row = query!(
        r#"
        WITH RECURSIVE class AS (
            SELECT class.*, space.nspname
            FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
            WHERE class.relname::text = $2 AND class.relkind IN ('r', 'p', 'v', 'm', 'f')
              AND CASE WHEN $1::text IS NULL
                       THEN space.nspname = ANY (current_schemas(true))
                       ELSE space.nspname::text = $1 END
            ORDER BY space.nspname = 'ferry', array_position(current_schemas(true), space.nspname)
            LIMIT 1
        ), behind AS (
            -- What a view reads: its owner's policies count there.
            SELECT oid FROM class
            UNION
            SELECT depends.refobjid
            FROM behind
            JOIN pg_rewrite AS rule ON rule.ev_class = behind.oid
            JOIN pg_depend AS depends ON depends.classid = 'pg_rewrite'::regclass AND depends.objid = rule.oid
                AND depends.refclassid = 'pg_class'::regclass
        )
        SELECT class.oid::bigint AS "oid!", class.nspname::text AS "schema!",
               format('%I.%I', class.nspname, class.relname) AS "name!",
               class.relkind::text AS "kind!",
               EXISTS (SELECT FROM pg_inherits WHERE inhparent = class.oid) AS "has_parts!",
               (pg_relation_is_updatable(class.oid, false) & 4) <> 0 AS "updatable!",
               EXISTS (
                   SELECT FROM behind JOIN pg_class AS table_behind ON table_behind.oid = behind.oid
                   JOIN pg_roles AS owner ON owner.oid = class.relowner
                   WHERE CASE WHEN behind.oid = class.oid OR 'security_invoker=true' = ANY (class.reloptions)
                              THEN row_security_active(behind.oid)
                              ELSE table_behind.relrowsecurity AND NOT owner.rolsuper AND NOT owner.rolbypassrls
                                   AND (table_behind.relowner <> class.relowner OR table_behind.relforcerowsecurity)
                         END
               ) AS "row_security!",
               pg_has_role(class.relowner, 'USAGE') AS "owned!",
               quote_ident(key.attname) AS key,
               format_type(key.atttypid, -1) AS key_type,
               EXISTS (SELECT FROM pg_index AS index
                       WHERE index.indrelid = class.oid AND index.indisunique AND index.indisvalid
                         AND index.indpred IS NULL AND index.indnkeyatts = 1
                         AND index.indkey[0] = key.attnum) AS "key_unique!",
               quote_ident(id.attname) AS id,
               CASE WHEN has_column_privilege(class.oid, mail.attnum, 'SELECT')
                    THEN CASE WHEN mail.attname::text = $5 AND mail.is_text
                              THEN format('app.%I::text', mail.attname)
                              WHEN mail.attname::text = $5
                              THEN format('to_jsonb(app.%I) #>> %L', mail.attname, '{}')
                              -- A name without dots in an object is found in one way only: there, none is another.
                              WHEN $5 NOT LIKE '%.%.%'
                              THEN format('CASE WHEN app.%1$I IS NULL OR jsonb_typeof(to_jsonb(app.%1$I)) = ''object''
                                                THEN to_jsonb(app.%1$I) #>> %2$L
                                                ELSE coalesce(to_jsonb(app.%1$I) #>> %2$L, given.email) END',
                                          mail.attname, (string_to_array($5, '.'))[2:])
                              -- Where the path leads nowhere, the reader found its way by other rules.
                              ELSE format('coalesce(to_jsonb(app.%I) #>> %L, given.email)', mail.attname,
                                          (string_to_array($5, '.'))[2:]) END END AS email,
               $5::text IS NULL OR EXISTS (
                   SELECT FROM pg_attribute
                   WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped
                     AND attname::text IN ($5, split_part($5, '.', 1))) AS "email_is_there!",
               (id_type.typcategory = 'S') IS TRUE AS "id_is_text!",
               coalesce(id.attgenerated <> '', false) AS "id_computed!",
               (WITH RECURSIVE made_of AS (
                    SELECT type.typname, type.typtype, type.typbasetype, id.atttypmod AS length, type.typtypmod
                    FROM pg_type AS type WHERE type.oid = id.atttypid
                    UNION ALL
                    SELECT type.typname, type.typtype, type.typbasetype, made_of.typtypmod, type.typtypmod
                    FROM made_of JOIN pg_type AS type
                        ON made_of.typtype = 'd' AND type.oid = made_of.typbasetype
                )
                SELECT min(CASE WHEN typname IN ('varchar', 'bpchar') AND length >= 4 THEN length - 4
                                WHEN typname = 'char' THEN 1 END)
                FROM made_of) AS id_most,
               EXISTS (SELECT FROM pg_index AS index
                       WHERE index.indrelid = class.oid AND index.indisunique AND index.indisvalid
                         AND index.indnkeyatts = 1 AND index.indkey[0] = id.attnum) AS "id_unique!",
               array_remove(ARRAY[
                   CASE WHEN NOT has_schema_privilege(class.relnamespace, 'USAGE')
                        THEN 'USAGE on schema ' || class.nspname END,
                   CASE WHEN NOT has_column_privilege(class.oid, key.attnum, 'SELECT')
                        THEN 'SELECT on ' || $3 END,
                   CASE WHEN NOT has_column_privilege(class.oid, id.attnum, 'SELECT')
                        THEN 'SELECT on ' || $4 END,
                   CASE WHEN NOT has_column_privilege(class.oid, id.attnum, 'UPDATE')
                        THEN 'UPDATE on ' || $4 END
               ], NULL) AS "lacks!"
        FROM class
        LEFT JOIN pg_attribute AS key
            ON key.attrelid = class.oid AND key.attname::text = $3 AND key.attnum > 0 AND NOT key.attisdropped
        LEFT JOIN pg_attribute AS id
            ON id.attrelid = class.oid AND id.attname::text = $4 AND id.attnum > 0 AND NOT id.attisdropped
        LEFT JOIN LATERAL (
            -- The column of that name, else the one of JSON that the path begins with.
            SELECT attname, attnum, typcategory = 'S' AS is_text
            FROM pg_attribute JOIN pg_type AS type ON type.oid = atttypid
            WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped
              AND (attname::text = $5 OR attname::text = split_part($5, '.', 1)
                                         AND atttypid IN ('json'::regtype, 'jsonb'::regtype))
            ORDER BY attname::text = $5 DESC LIMIT 1
        ) AS mail ON true
        LEFT JOIN pg_type AS id_type ON id_type.oid = id.atttypid
        "#,
        target.schema,
        target.table,
        target.key_column,
        target.id_column,
        target.email_column,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let relation = match row.kind.as_str() {
            "r" if !row.has_parts => Relation::Table,
            "r" | "p" => Relation::Divided,
            "v" if row.updatable => Relation::SimpleView,
            "f" => Relation::Foreign,
            _ => Relation::View,
        };
        let id = row.id.is_some().then(|| IdColumn {
            is_text: row.id_is_text,
            computed: row.id_computed,
            most: row.id_most.and_then(|most| u32::try_from(most).ok()),
            // An index of one table says nothing about those that inherit from it.
            unique: row.id_unique && relation != Relation::Divided,
        });
        let divided = row.kind == "r" && row.has_parts;
        let table = AppTable {
            target: WriteBackTarget { schema: Some(row.schema), ..target.clone() },
            relation,
            key: row.key.is_some().then_some(row.key_unique && !divided),
            email: row.email_is_there,
            id,
            lacks: row.lacks,
            row_security: row.row_security,
            unprepared: None,
        };
        Found {
            table,
            oid: row.oid,
            name: row.name,
            key: row.key.unwrap_or_default(),
            key_type: row.key_type.unwrap_or_default(),
            id: row.id.unwrap_or_default(),
            email: row.email,
            owned: row.owned,
        }
    }))
}
