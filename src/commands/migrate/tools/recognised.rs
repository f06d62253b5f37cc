//! Which tool works on a database, by the table that it keeps for itself.
//!
//! Only tables that are unmistakable count: names that several tools use are told apart by their
//! columns. A tool that keeps no table (TypeORM's `synchronize`, drizzle's `push`) can't be seen.

use ferry_domain::app_schema::{AppSchema, NamedTable};

use self::Kind::{Compares, Told, Written};
use super::Tool;

/// A table that a tool keeps for itself.
struct Own {
    table: &'static str,
    /// Columns that it has.
    columns: &'static [&'static str],
    /// Whether it has no others.
    only: bool,
    name: &'static str,
    kind: Kind,
}

/// What a tool does with a column that it was not told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its model can be told.
    Told(Tool),
    /// It compares a model with the database, and there are no lines for it here.
    Compares,
    /// It runs what is written, and compares nothing.
    Written,
}

const fn own(table: &'static str, name: &'static str, kind: Kind) -> Own {
    Own { table, columns: &[], only: false, name, kind }
}

const OWN: &[Own] = &[
    own("alembic_version", "Alembic", Told(Tool::Alembic)),
    own("django_migrations", "Django", Told(Tool::Django)),
    own("typeorm_metadata", "TypeORM", Told(Tool::TypeOrm)),
    Own { columns: &["timestamp", "name"], ..own("migrations", "TypeORM", Told(Tool::TypeOrm)) },
    own("__drizzle_migrations", "drizzle", Told(Tool::Drizzle)),
    own("SequelizeMeta", "Sequelize", Told(Tool::Sequelize)),
    own("mikro_orm_migrations", "MikroORM", Told(Tool::MikroOrm)),
    own("_prisma_migrations", "Prisma", Told(Tool::Prisma)),
    own("ar_internal_metadata", "Rails", Told(Tool::Rails)),
    own("doctrine_migration_versions", "Doctrine", Compares),
    own("knex_migrations", "Knex", Written),
    own("kysely_migration", "Kysely", Written),
    own("flyway_schema_history", "Flyway", Written),
    own("databasechangelog", "Liquibase", Written),
    own("goose_db_version", "goose", Written),
    own("__diesel_schema_migrations", "Diesel", Written),
    own("_sqlx_migrations", "sqlx", Written),
    own("refinery_schema_history", "Refinery", Written),
    own("pgmigrations", "node-pg-migrate", Written),
    own("phinxlog", "Phinx", Written),
    own("__EFMigrationsHistory", "Entity Framework", Written),
    own("atlas_schema_revisions", "Atlas", Written),
    Own { columns: &["migration", "batch"], ..own("migrations", "Laravel", Written) },
    Own { columns: &["version", "dirty"], ..own("schema_migrations", "golang-migrate", Written) },
    Own { columns: &["version", "inserted_at"], ..own("schema_migrations", "Ecto", Written) },
    Own { columns: &["version", "statements"], ..own("schema_migrations", "Supabase", Written) },
    Own { columns: &["version"], only: true, ..own("schema_migrations", DBMATE, Written) },
];

/// Its table is Rails's too, beside which Rails has another.
const DBMATE: &str = "dbmate";

/// Names of all tables that are looked for.
pub const TABLES: [&str; OWN.len()] = {
    let mut tables = [""; OWN.len()];
    let mut at = 0;
    while at < OWN.len() {
        tables[at] = OWN[at].table;
        at += 1;
    }
    tables
};

/// A tool that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recognised {
    pub name: &'static str,
    pub kind: Kind,
    /// The table by which it was.
    pub table: String,
}

impl Own {
    fn is(&self, table: &NamedTable) -> bool {
        let has = |name: &&str| table.columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        table.name.eq_ignore_ascii_case(self.table)
            && self.columns.iter().all(has)
            && (!self.only || table.columns.len() == self.columns.len())
    }
}

/// Tools beside the application's table; where none is there, those of other schemas, for some
/// tools keep their table apart.
pub(super) fn recognised(schema: &AppSchema) -> Vec<Recognised> {
    let (near, far): (Vec<_>, Vec<_>) =
        schema.tables.iter().partition(|table| table.schema == schema.target.schema);
    let near = tools(&near);
    if near.is_empty() { tools(&far) } else { near }
}

fn tools(tables: &[&NamedTable]) -> Vec<Recognised> {
    let mut found: Vec<Recognised> = Vec::new();
    for own in OWN {
        let Some(table) = tables.iter().find(|table| own.is(table)) else { continue };
        let known = found.iter().any(|other| other.name == own.name);
        let rails_own = own.name == DBMATE && found.iter().any(|other| other.kind == Told(Tool::Rails));
        if !known && !rails_own {
            found.push(Recognised { name: own.name, kind: own.kind, table: table.shown() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use ferry_domain::{WriteBackTarget, app_schema::Engine};

    use super::*;

    fn names(tables: &[(&str, &str, &[&str])]) -> Vec<&'static str> {
        let tables = tables.iter().map(|(schema, name, columns)| NamedTable {
            schema: Some((*schema).to_owned()),
            name: (*name).to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        });
        let schema = AppSchema {
            engine: Engine::Postgres,
            target: WriteBackTarget::new(Some("app"), "users", "id", "auth0_user_id"),
            column: None,
            index: None,
            ledger: true,
            tables: tables.collect(),
        };
        recognised(&schema).iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_tool_is_known_by_its_table_and_names_of_several_by_their_columns() {
        for (table, columns, expected) in [
            ("alembic_version", &["version_num"][..], "Alembic"),
            ("django_migrations", &["id", "app", "name", "applied"], "Django"),
            ("migrations", &["id", "timestamp", "name"], "TypeORM"),
            ("migrations", &["id", "migration", "batch"], "Laravel"),
            ("SequelizeMeta", &["name"], "Sequelize"),
            ("schema_migrations", &["version", "dirty"], "golang-migrate"),
            ("schema_migrations", &["version", "inserted_at"], "Ecto"),
            ("schema_migrations", &["version"], "dbmate"),
            ("schema_migrations", &["version", "statements", "name"], "Supabase"),
            ("doctrine_migration_versions", &["version", "executed_at"], "Doctrine"),
            ("__EFMigrationsHistory", &["MigrationId", "ProductVersion"], "Entity Framework"),
            ("DATABASECHANGELOG", &["ID", "AUTHOR"], "Liquibase"),
        ] {
            assert_eq!(names(&[("app", table, columns)]), [expected], "{table}");
        }
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(names(&[("app", "migrations", &["id", "name"])]), [""; 0], "it may be anybody's");
    }

    #[test]
    fn rails_is_not_taken_for_another_and_a_tool_is_named_once() {
        let rails =
            [("app", "ar_internal_metadata", &["key"][..]), ("app", "schema_migrations", &["version"])];
        assert_eq!(names(&rails), ["Rails"]);
        let typeorm =
            [("app", "typeorm_metadata", &["type"][..]), ("app", "migrations", &["id", "timestamp", "name"])];
        assert_eq!(names(&typeorm), ["TypeORM"]);
    }

    #[test]
    fn a_tool_beside_the_table_counts_before_one_of_another_schema() {
        let drizzle = ("drizzle", "__drizzle_migrations", &["id", "hash"][..]);
        assert_eq!(names(&[drizzle]), ["drizzle"]);
        assert_eq!(names(&[drizzle, ("app", "alembic_version", &["version_num"])]), ["Alembic"]);
    }
}
