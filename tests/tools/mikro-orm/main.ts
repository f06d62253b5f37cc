import { Migration, Migrator } from "@mikro-orm/migrations";
import { User } from "./user";

const sqlite = process.env.DB === "sqlite";
const driver: any = await import(sqlite ? "@mikro-orm/sqlite" : "@mikro-orm/postgresql");
let first = "";
class First extends Migration {
  async up() {
    for (const statement of first.split(";")) if (statement.trim()) this.addSql(statement.trim());
  }
}
class Later extends Migration {
  async up() {
    this.addSql("select 1");
  }
}
const command = process.argv[2];
const orm = await driver.MikroORM.init({
  entities: [User],
  extensions: [Migrator],
  migrations: {
    path: "migrations",
    snapshotName: "snapshot", // the databases of a try have several names
    // By name, for finding them in a folder needs a newer Node.
    migrationsList: [
      { name: "first", class: First },
      ...(command === "later" ? [{ name: "later", class: Later }] : []),
    ],
  },
  ...(sqlite ? { dbName: "app.db" } : { clientUrl: process.env.URL }),
  // FERRY In the configuration
});
const { em, migrator, schema } = orm;
switch (command) {
  case "init":
    first = await schema.getCreateSchemaSQL({ wrap: false });
    await migrator.up();
    break;
  case "diff": // by `schema:update`, and by the next `migration:create`
    process.stdout.write(await schema.getUpdateSchemaSQL({ wrap: false }));
    process.stdout.write((await migrator.create("written")).diff.up.join("\n"));
    break;
  case "later":
    await migrator.up();
    break;
  case "create":
    console.log((await migrator.create()).fileName);
    break;
  case "told":
    // FERRY Then, where its migrations are used
    break;
  case "destroy":
    await schema.update();
    break;
  case "stale": {
    const fork = em.fork();
    const user = await fork.findOneOrFail(User, { email: "a@example.com" });
    await fork.execute(
      `UPDATE "${process.env.TABLE}" SET "${process.env.COLUMN}" = 'auth0|new' WHERE email = 'a@example.com'`,
    );
    user.email = "c@example.com";
    await fork.flush();
  }
}
await orm.close();
