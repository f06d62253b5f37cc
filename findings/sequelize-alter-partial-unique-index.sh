#!/usr/bin/env bash
# Tool: Sequelize 6.37.8, `sync({ alter: true })`, SQLite by sqlite3 5.1.7. Beside it: Knex 3.3.0.
# Case: a table with a partial unique index (an e-mail address once among the active users) and a
#   plain index. The model has all columns of the table and nothing about it has changed.
# Expected: nothing to alter, so the indexes stay. Two users may share an address if one is inactive.
# What happens: the table is made anew each time. The values are copied. The indexes are not, whoever
#   made them. The partial unique index is taken for a UNIQUE on the whole column: it loses its WHERE,
#   and rows that were valid are refused from then on. No warning. If the partial index is declared in the
#   model it is made again, but the UNIQUE on the whole column comes as well, so rows are refused too.
# Output seen (for each: indexes before -> after, rows kept, second row with the address after it):
#   by hand:      plain, once_active -> sqlite_autoindex_users_1; 1 row; refused: UNIQUE constraint failed: users.email
#   in the model: plain, once_active -> sqlite_autoindex_users_1, once_active; 1 row; refused: UNIQUE constraint failed: users.email
#   Knex:         plain, once_active -> plain, once_active; 1 row; accepted (once_active still has its WHERE)
# Instead: no `alter` on SQLite where indexes matter. Write migrations (Umzug with plain SQL, or
#   Knex: when it makes a table anew to drop a column, it makes the indexes again with their WHERE).
# Exit code: 0 as described, 1 it changed, 2 the packages could not be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >init.log
npm install --silent --no-audit --no-fund sequelize@6.37.8 sqlite3@5.1.7 knex@3.3.0 ||
  { echo "could not install"; exit 2; }
cat >main.js <<'END'
const { Sequelize, DataTypes } = require("sequelize");
const partial = "CREATE UNIQUE INDEX once_active ON users (email) WHERE active = 1";
const plain = "CREATE INDEX plain ON users (active)";
const first = "INSERT INTO users (email, active) VALUES ('a@example.com', 1)";
const second = "INSERT INTO users (email, active) VALUES ('a@example.com', 0)"; // valid: it is inactive
const indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name DESC";

// `run` runs a statement and gives its rows; `change` is what is looked at.
async function look(name, run, statements, change) {
  for (const statement of statements) await run(statement);
  const before = await run(indexes);
  await change();
  const after = await run(indexes);
  const rows = await run("SELECT email, active FROM users");
  const answer = await run(second).then(() => "accepted", (error) =>
    "refused: " + /UNIQUE constraint failed: [\w.]+/.exec(String(error.parent ?? error)));
  const words = (list) => list.map(({ name }) => name).join(", ");
  console.log(`${name}: ${words(before)} -> ${words(after)}; ${rows.length} row; ${answer}`);
  for (const { name, sql } of after) console.log(`    ${name}: ${sql ?? "UNIQUE on the whole column"}`);
  const one = (index) => after.find((each) => each.name === index)?.sql ?? "";
  return {
    kept: rows.length === 1 && rows[0].email === "a@example.com" && rows[0].active === 1,
    partial: /WHERE/i.test(one("once_active")),
    plain: one("plain") !== "",
    whole: after.some(({ name }) => name === "sqlite_autoindex_users_1"),
    accepted: answer === "accepted",
    refused: answer === "refused: UNIQUE constraint failed: users.email",
  };
}
async function bySequelize(name, declared) {
  const sequelize = new Sequelize({ dialect: "sqlite", storage: ":memory:", logging: false });
  const list = declared ? [{ name: "once_active", unique: true, fields: ["email"], where: { active: true } }] : [];
  const columns = { email: DataTypes.STRING, active: DataTypes.BOOLEAN };
  sequelize.define("User", columns, { tableName: "users", timestamps: false, indexes: list });
  await sequelize.sync();
  const run = async (statement) => (await sequelize.query(statement))[0];
  const seen = await look(name, run, declared ? [plain, first] : [partial, plain, first], () => sequelize.sync({ alter: true }));
  await sequelize.close();
  return seen;
}
async function byKnex() {
  const knex = require("knex")({ client: "sqlite3", connection: { filename: ":memory:" }, useNullAsDefault: true });
  const table = "CREATE TABLE users (id integer PRIMARY KEY, email text, active boolean, extra text)";
  const seen = await look("Knex", (statement) => knex.raw(statement), [table, partial, plain, first], () =>
    knex.schema.alterTable("users", (users) => users.dropColumn("extra")));
  await knex.destroy();
  return seen;
}
async function main() {
  const hand = await bySequelize("by hand", false);
  const model = await bySequelize("in the model", true);
  const knex = await byKnex();
  const same = hand.kept && !hand.partial && !hand.plain && hand.whole && hand.refused &&
    model.kept && model.partial && !model.plain && model.whole && model.refused &&
    knex.kept && knex.partial && knex.plain && !knex.whole && knex.accepted;
  console.log(same ? "as described" : "changed");
  process.exitCode = same ? 0 : 1;
}
main().catch((error) => { console.log(`changed: ${error.message}`); process.exitCode = 1; });
END
node main.js
