import "reflect-metadata";
import { DataSource, QueryRunner } from "typeorm";
import { User } from "./user";

const sqlite = process.env.DB === "sqlite";
let statements: string[] = [];
class First1700000000000 {
  async up(runner: QueryRunner) {
    for (const statement of statements) await runner.query(statement);
  }
  async down() {}
}
const common = { entities: [User], migrations: [First1700000000000] };
const source = new DataSource(
  sqlite
    ? { type: "better-sqlite3", database: "app.db", ...common }
    : { type: "postgres", url: process.env.URL, ...common },
);

/** What `synchronize` would run, and `migration:generate` would write. */
const difference = async () => (await source.driver.createSchemaBuilder().log()).upQueries.map((q) => q.query);

async function main() {
  await source.initialize();
  const command = process.argv[2];
  if (command === "init") {
    statements = await difference();
    await source.runMigrations();
  }
  if (command === "diff") for (const statement of await difference()) console.log(statement);
  if (command === "destroy") await source.synchronize();
  if (command === "stale") {
    const users = source.getRepository(User);
    const [user] = await users.find({ order: { id: "ASC" }, take: 1 });
    await source.query(
      `UPDATE "${process.env.TABLE}" SET "${process.env.COLUMN}" = 'auth0|new' WHERE email = 'a@example.com'`,
    );
    user.email = "c@example.com";
    await users.save(user);
  }
  await source.destroy();
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
