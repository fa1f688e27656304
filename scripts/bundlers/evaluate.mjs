// Run by Node in the project: what each entry and each of its bundles exports, as one line of JSON. CommonJS gets the same
// of each entry: `require` takes ES modules in all versions of Node that the packages are for.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const namesOf = async (specifier) => Object.keys(await import(specifier)).sort();
const require = createRequire(import.meta.url);
const list = JSON.parse(readFileSync(process.argv[2], "utf8"));
const evaluated = [];
// Before any import: what is loaded already would be given to everybody.
const required = new Map();
for (const name of new Set(list.map((each) => each.name))) {
  try {
    required.set(name, Object.keys(require(name)).sort());
  } catch (error) {
    evaluated.push({ file: `require("${name}")`, problem: String(error) });
  }
}
for (const [name, found] of required) {
  const expected = await namesOf(name);
  const same = JSON.stringify(expected) === JSON.stringify(found);
  evaluated.push({
    file: `require("${name}")`,
    problem: same ? undefined : `gives ${found.join()} and not ${expected.join()}`,
  });
}
for (const { name, file } of list) {
  try {
    const [expected, found] = [await namesOf(name), await namesOf(pathToFileURL(file))];
    const same = JSON.stringify(expected) === JSON.stringify(found);
    evaluated.push({ file, problem: same ? undefined : `exports ${found.join()} and not ${expected.join()}` });
  } catch (error) {
    evaluated.push({ file, problem: String(error) });
  }
}
console.log(JSON.stringify(evaluated));
