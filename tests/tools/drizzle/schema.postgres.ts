import { sql } from "drizzle-orm";
import { pgTable, serial, text, uniqueIndex, varchar } from "drizzle-orm/pg-core";

export const users = pgTable("@TABLE@", {
  id: serial("@KEY@").primaryKey(),
  email: varchar("email", { length: 200 }).notNull(),
  // FERRY In the columns of
}, (table) => [
  // FERRY In its list of indexes
]);
