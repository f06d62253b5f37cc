import { Column, Entity, Index, PrimaryGeneratedColumn } from "typeorm";

@Entity({ name: "@TABLE@" })
export class User {
  @PrimaryGeneratedColumn({ name: "@KEY@" })
  id!: number;
  @Column({ type: "varchar", length: 200 })
  email!: string;
  // FERRY In the entity of
}
