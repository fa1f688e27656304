// Lets the conformance test write this version's golden file, if there is none.
import { spawnSync } from "node:child_process";

const env = { ...process.env, GODWIT_GOLDENS: "write" };
const { status } = spawnSync("npx vitest run test/conformance.test.ts", { env, shell: true, stdio: "inherit" });
process.exitCode = status ?? 1;
