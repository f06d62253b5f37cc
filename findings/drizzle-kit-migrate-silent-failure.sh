#!/usr/bin/env bash
# Tool: drizzle-kit 0.31.11, drizzle-orm 0.45.4, SQLite by better-sqlite3 12.11.1.
# Case: a column is in the database already, made by another tool or by hand. Now the schema gets it too.
# Expected: `drizzle-kit generate` sees that there is nothing to add. Or at least
#   `drizzle-kit migrate` says "duplicate column name" when it fails.
# What happens: `generate` compares the schema with its own snapshot, never with the database, and
#   writes ADD for the column. `migrate` fails on it. It ends with exit code 1 and says no reason,
#   neither on stdout nor on stderr. The last thing to see is "applying migrations...", in a terminal too.
# Output seen:
#   generated: ALTER TABLE `users` ADD `legacy_id` text;
#   drizzle-kit migrate: exit code 1, stderr of 0 bytes, last words on stdout: applying migrations...
#   migrate() of drizzle-orm: Failed to run the query 'ALTER TABLE `users` ADD `legacy_id` text;': duplicate column name: legacy_id
#   with a statement that changes nothing in its place: exit code 0, 2 migrations noted, value old-1
# Instead: to learn the reason, run the same folder with migrate() from
#   drizzle-orm/better-sqlite3/migrator: its error has it in `cause`. To get on, keep the generated
#   file and its snapshot, and put a statement that changes nothing in the place of the ADD.
# Exit code: 0 as described, 1 it changed, 2 the packages could not be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >init.log
npm install --silent --no-audit --no-fund drizzle-kit@0.31.11 drizzle-orm@0.45.4 better-sqlite3@12.11.1 ||
  { echo "could not install"; exit 2; }
kit=node_modules/.bin/drizzle-kit

cat >drizzle.config.js <<'END'
module.exports = { dialect: "sqlite", schema: "./schema.js", out: "./migrations", dbCredentials: { url: "app.db" } };
END
cat >schema.js <<'END'
const { integer, sqliteTable, text } = require("drizzle-orm/sqlite-core");
exports.users = sqliteTable("users", {
  id: integer("id").primaryKey(),
  // MORE
});
END
cat >reason.js <<'END'
const { drizzle } = require("drizzle-orm/better-sqlite3");
const { migrate } = require("drizzle-orm/better-sqlite3/migrator");
try {
  migrate(drizzle("app.db"), { migrationsFolder: "migrations" });
  console.log("no error");
} catch (error) {
  console.log(`${error.message}: ${error.cause?.message}`);
}
END
# sql METHOD STATEMENT: the first column of the first row, if it has one.
sql() {
  node -e 'const [, method, sql] = process.argv, db = require("better-sqlite3")("app.db");
    const row = method === "get" ? db.prepare(sql).pluck().get() : db.exec(sql) && ""; if (row !== "") console.log(row)' "$1" "$2"
}
changed() { echo "changed: $1"; exit 1; }

{ "$kit" generate --name first && "$kit" migrate; } >first.log 2>&1 || changed "the first migration fails"
sql exec "ALTER TABLE users ADD COLUMN legacy_id text; INSERT INTO users VALUES (1, 'old-1')"

sed -i.bak 's|// MORE|legacy_id: text("legacy_id"),|' schema.js
"$kit" generate --name second >second.log 2>&1 || changed "generate fails"
echo "generated: $(cat migrations/0001_second.sql)"
grep -q 'ALTER TABLE .users. ADD .legacy_id. text' migrations/0001_second.sql || changed "no ADD"

code=0
"$kit" migrate >out.log 2>err.log || code=$?
words=$(grep -o 'applying migrations\.\.\.' out.log | tail -n 1) || true
echo "drizzle-kit migrate: exit code $code, stderr of $(($(wc -c <err.log))) bytes, last words on stdout: $words"
[[ $code == 1 && ! -s err.log && -n $words ]] || changed "exit code or stderr"
if grep -qiE 'duplicate|legacy_id|error|fail|0001_second' out.log err.log; then changed "it names a reason"; fi

reason=$(node reason.js)
echo "migrate() of drizzle-orm: $reason"
[[ $reason == *"duplicate column name: legacy_id"* ]] || changed "the reason of migrate()"

echo 'UPDATE users SET legacy_id = legacy_id WHERE false;' >migrations/0001_second.sql
code=0
"$kit" migrate >third.log 2>&1 || code=$?
noted=$(sql get 'SELECT count(*) FROM __drizzle_migrations') value=$(sql get 'SELECT legacy_id FROM users')
echo "with a statement that changes nothing in its place: exit code $code, $noted migrations noted, value $value"
[[ $code == 0 && $noted == 2 && $value == old-1 ]] || changed "the way out"
echo "as described"
