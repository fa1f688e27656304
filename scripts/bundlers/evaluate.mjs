// Run by Node in the project: what each entry and each of its bundles exports, as one line of JSON.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const namesOf = async (specifier) => Object.keys(await import(specifier)).sort();
const evaluated = [];
for (const { name, file } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  try {
    const [expected, found] = [await namesOf(name), await namesOf(pathToFileURL(file))];
    const same = JSON.stringify(expected) === JSON.stringify(found);
    evaluated.push({ file, problem: same ? undefined : `exports ${found.join()} and not ${expected.join()}` });
  } catch (error) {
    evaluated.push({ file, problem: String(error) });
  }
}
console.log(JSON.stringify(evaluated));
