// Writes into each published manifest where its source is, as npm's provenance wants it: the repository that the workflow
// runs in. For a clone that is published from and thrown away.
//   GITHUB_SERVER_URL and GITHUB_REPOSITORY name the repository.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readWorkspaces, repositoryRoot } from "../workspaces.ts";
import { withSource } from "./source.ts";

const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository } = process.env;
if (!server || !repository) throw new Error("GITHUB_SERVER_URL and GITHUB_REPOSITORY are to name the repository");

for (const { folder } of readWorkspaces().filter(({ manifest }) => !manifest.private)) {
  const path = join(repositoryRoot, folder, "package.json");
  writeFileSync(path, withSource(readFileSync(path, "utf8"), `git+${server}/${repository}.git`, folder));
}
