//! All words at once, as they stand in the two files beside this one; and what may be odd.

use ferry_domain::{
    WriteBackTarget,
    app_schema::{Column, Engine, Index, NamedTable},
};

use super::*;

fn schema(engine: Engine) -> AppSchema {
    let sqlite = engine == Engine::Sqlite;
    let name = if sqlite { "ferry_users_auth0_user_id" } else { "ferry_users_auth0_user_id_77dd85c3" };
    let predicate = if sqlite { "\"auth0_user_id\" <> ''" } else { "auth0_user_id <> ''::text" };
    AppSchema {
        engine,
        target: WriteBackTarget::new((!sqlite).then_some("public"), "users", "id", "auth0_user_id"),
        column: Some(Column { type_name: if sqlite { "TEXT" } else { "text" }.into(), nullable: true }),
        index: Some(Index { name: name.into(), predicate: Some(predicate.into()) }),
        ledger: true,
        tables: Vec::new(),
    }
}

fn with(schema: AppSchema, table: &str, columns: &[&str]) -> AppSchema {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    let table = NamedTable { schema: schema.target.schema.clone(), name: table.into(), columns };
    AppSchema { tables: vec![table], ..schema }
}

fn shown(said: &Said) -> String {
    format!("{}\n\n{}\n", said.talk.join("\n"), said.lines.as_deref().unwrap_or("(no lines)"))
}

fn all(engine: Engine) -> String {
    let tools = Tool::value_variants().iter().map(|tool| shown(&said(&schema(engine), Some(*tool))));
    let unknown = shown(&said(&schema(engine), None));
    let written = shown(&said(&with(schema(engine), "flyway_schema_history", &[]), None));
    let compares = shown(&said(&with(schema(engine), "doctrine_migration_versions", &[]), None));
    tools.chain([unknown, written, compares]).collect::<Vec<_>>().join("\n----\n")
}

fn lines(schema: &AppSchema, tool: Tool) -> String {
    said(schema, Some(tool)).lines.unwrap_or_default()
}

#[test]
fn every_tools_words_are_those_that_were_tried() {
    for (engine, expected) in [
        (Engine::Postgres, include_str!("words.postgres.txt")),
        (Engine::Sqlite, include_str!("words.sqlite.txt")),
    ] {
        let said = all(engine);
        assert!(said == expected, "if it is meant so, the file for {engine:?} becomes:\n{said}");
    }
}

#[test]
fn a_recognised_tool_is_named_with_its_table() {
    let said = said(&with(schema(Engine::Postgres), "alembic_version", &["version_num"]), None);
    assert!(said.talk[0].contains("Alembic (its table public.alembic_version is here)"), "{:?}", said.talk);
    assert!(said.lines.is_some_and(|lines| lines.contains("Index(\"ferry_users_auth0_user_id_77dd85c3\"")));
}

#[test]
fn what_the_application_made_itself_is_not_told_to_its_model() {
    let mut app = schema(Engine::Postgres);
    app.column = Some(Column { type_name: "character varying(64)".into(), nullable: true });
    let alembic = lines(&app, Tool::Alembic);
    assert!(!alembic.contains("Column(\"") && alembic.contains("Index("), "{alembic}");
    app.index = Some(Index { name: "uq_auth0".into(), predicate: None });
    assert_eq!(said(&app, None), Said::default());
    assert_eq!(said(&app, Some(Tool::Alembic)), Said::default());
}

#[test]
fn a_ledger_elsewhere_is_not_spoken_of() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let apart = AppSchema { ledger: false, ..schema(engine) };
        for tool in Tool::value_variants() {
            let said = shown(&said(&apart, Some(*tool)));
            for word in ["ferry_jobs", "ferry_now", "!ferry_", "^ferry_", "\"ferry\"", "ledger"] {
                assert!(!said.contains(word), "{word}: {said}");
            }
        }
    }
}

#[test]
fn a_table_without_our_index_gets_no_line_for_one() {
    let divided = AppSchema { index: None, ..schema(Engine::Postgres) };
    for tool in Tool::value_variants() {
        assert!(!lines(&divided, *tool).contains("77dd85c3"), "{tool:?}");
    }
}

#[test]
fn odd_names_stay_whole_and_end_no_text() {
    let mut odd = schema(Engine::Postgres);
    odd.target = WriteBackTarget::new(Some("My App"), "User \"x\"", "Key Id", "Auth0 \"Id\"");
    let name = "ferry_User \"x\"_Auth0 \"Id\"_0a1b2c3d";
    odd.index = Some(Index { name: name.into(), predicate: Some("\"Auth0 \"\"Id\"\"\" <> ''::text".into()) });
    for (tool, expected) in [
        (Tool::Alembic, r#"auth0_id = Column("Auth0 \"Id\"", Text, nullable=True)"#),
        (Tool::Django, r#"auth0_id = models.TextField(db_column="Auth0 \"Id\"", null=True, blank=True)"#),
        (Tool::Django, r#"fields=["auth0_id"], condition=models.Q(auth0_id__gt="")"#),
        (Tool::TypeOrm, r#"where: "\"Auth0 \"\"Id\"\"\" <> ''::text" })"#),
        (Tool::Drizzle, r#"auth0Id: text("Auth0 \"Id\"")"#),
        (Tool::Sequelize, r#"fields: ["Auth0 \"Id\""]"#),
        (
            Tool::MikroOrm,
            r#"create unique index "ferry_User ""x""_Auth0 ""Id""_0a1b2c3d" on "My App"."User ""x""" ("Auth0 ""Id""")"#,
        ),
        (Tool::Rails, r#"add_column "User \"x\"", "Auth0 \"Id\"", :text"#),
    ] {
        let lines = lines(&odd, tool);
        assert!(lines.contains(expected), "{tool:?}: {lines}");
    }
}
