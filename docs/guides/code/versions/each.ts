import { isMigrationError, type Kernel } from "@godwit/core";
import { computers, releases } from "../../../../packages/core/examples/releases/golden.ts";
import { goldenSave } from "./saves.ts";

// #region each
async function outcome({ kernel }: { readonly kernel: Kernel }, save: Uint8Array): Promise<string> {
  try {
    const { notes } = await kernel.load(save);
    const converted = notes.filter(({ code }) => code === "former").length;
    return converted === 0 ? "loads" : `loads (${converted} converted)`;
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return error.code;
  }
}

for (const from of releases) {
  console.log(`a save of release ${from}`);
  for (const to of releases) console.log(`  into ${to}: ${await outcome(computers[to](), goldenSave(from))}`);
}
// #endregion

for (const from of releases) {
  for (const to of releases.filter((release) => release >= from)) {
    const found = await outcome(computers[to](), goldenSave(from));
    if (!found.startsWith("loads")) throw new Error(`a save of ${from} does not load into ${to}: ${found}`);
  }
}
