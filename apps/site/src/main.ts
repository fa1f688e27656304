// `bun run site`: the documentation, as a folder of static pages.
import { join, resolve } from "node:path";
import { buildSite, repositoryRoot } from "./build.ts";

const folder = resolve(process.argv[2] ?? join(repositoryRoot, "docs/site"));
await buildSite(folder);
console.log(`The site is in ${folder}; open index.html.`);
