const { Sequelize } = require("sequelize");
const { SequelizeStorage, Umzug } = require("umzug");

const statements = [];
const logging = (statement) => statements.push(statement.replace(/^Executing \(default\): /, ""));
const sequelize =
  process.env.DB === "sqlite"
    ? new Sequelize({ dialect: "sqlite", storage: "app.db", logging })
    : new Sequelize(process.env.URL, { logging });
const update = `UPDATE "${process.env.TABLE}" SET "${process.env.COLUMN}" = 'auth0|new' WHERE email = 'a@example.com'`;
const User = require("./user")(sequelize);

async function main() {
  if (process.argv[2] === "init") {
    const migrations = [{ name: "first", up: () => User.sync() }];
    await new Umzug({ migrations, storage: new SequelizeStorage({ sequelize }), logger: undefined }).up();
  }
  // It says what it does while it does it.
  if (process.argv[2] === "destroy") {
    statements.length = 0;
    await sequelize.sync({ alter: true });
    for (const statement of statements) if (!/^(SELECT|PRAGMA)/i.test(statement)) console.log(statement);
  }
  if (process.argv[2] === "stale") {
    const user = await User.findOne({ order: ["id"] });
    await sequelize.query(update);
    user.email = "c@example.com";
    await user.save();
  }
  await sequelize.close();
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
