// MikroORM 7 imports a function that Node has since version 22, and better-sqlite3 compiles here
// for the Node that is here. Nothing in this try calls that function.
import fs from "node:fs";
import { register } from "node:module";

const hooks = `export async function resolve(name, context, next) {
  if (name !== "node:fs" || !context.parentURL?.includes("@mikro-orm")) return next(name, context);
  const names = ${JSON.stringify(Object.keys(fs))};
  const source = 'import fs from "fs"; export const globSync = undefined; export default fs; export const { ' +
    names.join(", ") + " } = fs;";
  return { url: "data:text/javascript," + encodeURIComponent(source), format: "module", shortCircuit: true };
}`;
if (!fs.globSync) register("data:text/javascript," + encodeURIComponent(hooks));
