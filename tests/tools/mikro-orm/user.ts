import { Entity, Index, PrimaryKey, Property } from "@mikro-orm/decorators/legacy";

// FERRY Above its class
@Entity({ tableName: "@TABLE@" })
export class User {
  @PrimaryKey({ fieldName: "@KEY@", type: "integer", autoincrement: true })
  id!: number;
  @Property({ type: "string", length: 200 })
  email!: string;
  // FERRY In the entity of
}
