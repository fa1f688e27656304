// Makes the declarations in `dist` readable for TypeScript before 5.7, which knows no `Uint8Array<…>`: the compiler
// writes the argument out wherever a type is inferred, though it is the default and says nothing. Run in a package's
// folder, after its compilation.
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { plainTypes } from "./plain-types-text.ts";

for (const path of globSync("dist/**/*.d.ts")) {
  const text = readFileSync(path, "utf8");
  const plain = plainTypes(text);
  if (plain !== text) writeFileSync(path, plain);
}
