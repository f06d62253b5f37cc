import { integer, sqliteTable, sqliteView, text, uniqueIndex } from "drizzle-orm/sqlite-core";

export const users = sqliteTable("@TABLE@", {
  id: integer("@KEY@").primaryKey(),
  email: text("email").notNull(),
  // FERRY In the columns of
}, (table) => [
  // FERRY In its list of indexes
]);
// FERRY Beside the tables
