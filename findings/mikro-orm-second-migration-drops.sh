#!/usr/bin/env bash
# Tool: MikroORM 7.2.1 with @mikro-orm/migrations 7.2.1, SQLite by better-sqlite3 12.11.1.
# Case: somebody else adds a column and a table to the database. The model does not know them.
# Expected: a new migration is compared with the snapshot file. The strange column and table are
#   not in it. So no migration touches them, neither the next one nor any later one.
# What happens: the next migration is as expected. But running it writes the snapshot file anew,
#   from the database. Now the strange things are in it. The migration created after that drops them.
#   If the model's new column has the same type, the strange column is renamed to it instead, and its
#   values turn up in the wrong property. Whoever read only the first migration is reassured wrongly.
# Output seen (three runs; the first later migration is the same in each):
#   drop:   1st later [alter table `users` add column `name` text null;]
#           2nd later [drop table if exists `badges`; alter table `users` drop column `badge_id`; alter table `users` add column `age` integer null;]
#           users is now {"id":1,"email":"a@example.com","name":null,"age":null}, badges is gone
#   rename: 2nd later [drop table if exists `badges`; alter table `users` rename column `badge_id` to `phone`;]
#           users is now {"id":1,"email":"a@example.com","phone":"badge-7","name":null}, badges is gone
#   keep:   2nd later [alter table `users` add column `phone` text null;], badges is there
# Instead: set `migrations.snapshotOnMigrate: false` (the run "keep"). `schemaGenerator.skipTables`
#   keeps a table, but `skipColumns` does not keep a column that no entity has (both seen, not in this
#   script). Read each new migration before it runs.
# Node: MikroORM 7 is made for Node 22.17 and later. Older ones lack fs.globSync, so the script hides
#   that gap; tinyglobby 0.2.15 then finds the files. On newer ones that does nothing (seen on 20.20).
# Exit code: 0 as described, 1 it changed, 2 the packages could not be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >package.json <<'END'
{ "private": true, "type": "module", "overrides": { "better-sqlite3": "$better-sqlite3" },
  "dependencies": { "@mikro-orm/core": "7.2.1", "@mikro-orm/migrations": "7.2.1", "@mikro-orm/sql": "7.2.1",
    "@mikro-orm/sqlite": "7.2.1", "better-sqlite3": "12.11.1", "tinyglobby": "0.2.15" } }
END
npm install --silent --no-audit --no-fund || { echo "could not install"; exit 2; }
cat >old-node.mjs <<'END'
import fs from "node:fs";
import { register } from "node:module";
const source = `import fs from "fs"; export default fs; export const globSync = undefined;
  export const { ${Object.keys(fs).join(", ")} } = fs;`;
const hook = `export const resolve = async (name, context, next) =>
  name === "node:fs" && context.parentURL?.includes("@mikro-orm")
    ? { url: ${JSON.stringify("data:text/javascript," + encodeURIComponent(source))}, format: "module", shortCircuit: true }
    : next(name, context);`;
if (!fs.globSync) register("data:text/javascript," + encodeURIComponent(hook));
END
cat >main.mjs <<'END'
import { EntitySchema } from "@mikro-orm/core";
import { Migrator } from "@mikro-orm/migrations";
import { MikroORM } from "@mikro-orm/sqlite";

// Creates and runs one migration for a model with these properties beside id and email.
async function release(run, more, sql = []) {
  const properties = { id: { type: "integer", primary: true }, email: { type: "string" }, ...more };
  const orm = await MikroORM.init({
    entities: [new EntitySchema({ name: "User", tableName: "users", properties })],
    dbName: `${run}.db`, extensions: [Migrator], logger: () => {},
    migrations: { path: run, emit: "cjs", snapshotOnMigrate: run !== "keep" },
  });
  const { diff } = await orm.migrator.create();
  await orm.migrator.up();
  for (const statement of sql) await orm.em.execute(statement);
  const [user] = await orm.em.execute("SELECT * FROM users");
  const badges = (await orm.em.execute("SELECT 1 FROM sqlite_master WHERE name = 'badges'")).length > 0;
  await orm.close();
  await new Promise((done) => setTimeout(done, 1100)); // the files are named by the second
  return { up: diff.up.filter(Boolean).join(" "), user, badges };
}
const optional = (type) => ({ type, nullable: true });
const seen = {};
const phone = { phone: optional("string") };
for (const [run, last] of Object.entries({ drop: { age: optional("integer") }, rename: phone, keep: phone })) {
  await release(run, {}, [
    "ALTER TABLE users ADD COLUMN badge_id text",
    "CREATE TABLE badges (id text PRIMARY KEY)",
    "INSERT INTO users (email, badge_id) VALUES ('a@example.com', 'badge-7')",
  ]);
  const first = await release(run, { name: optional("string") });
  const second = await release(run, { name: optional("string"), ...last });
  console.log(`${run}: 1st later [${first.up}]\n  2nd later [${second.up}]`);
  console.log(`  users is now ${JSON.stringify(second.user)}, badges is ${second.badges ? "there" : "gone"}`);
  const quiet = !/badge/.test(first.up) && first.badges && first.user.badge_id === "badge-7";
  seen[run] = { ...second, quiet };
}
const { drop, rename, keep } = seen;
const same =
  drop.quiet && /drop column `badge_id`/.test(drop.up) && !drop.badges && !("badge_id" in drop.user) &&
  rename.quiet && rename.user.phone === "badge-7" && !rename.badges &&
  keep.quiet && !/badge/.test(keep.up) && keep.badges && keep.user.badge_id === "badge-7";
console.log(same ? "as described" : "changed");
process.exitCode = same ? 0 : 1;
END
node --no-warnings --import ./old-node.mjs main.mjs || exit 1
