const sqlite = process.env.DB === "sqlite";
export default {
  dialect: sqlite ? "sqlite" : "postgresql",
  schema: `./schema.${process.env.DB}.ts`,
  out: "./migrations",
  dbCredentials: { url: sqlite ? "app.db" : process.env.URL },
  // FERRY In drizzle.config.ts
};
