// Which plugins a machine was put together with, and whether they were built for what this kernel offers.
import { contract, type Manifest, oldestContract, type Plugin } from "../contract.ts";
import { MigrationError } from "../errors.ts";

type Listed = Manifest["plugins"][number];

export class Plugins {
  readonly #accepted: { readonly oldest: number; readonly newest: number };
  readonly #all: Listed[] = [];

  constructor(accepted = { oldest: oldestContract, newest: contract }) {
    this.#accepted = accepted;
  }

  /**
   * `PLUGIN_CONTRACT` where the plugin was built for what is not accepted. True where it is old and not known yet: a
   * machine with two disks uses one plugin twice, and once is enough to say so.
   */
  admit(plugin: Plugin<unknown>): boolean {
    const { oldest, newest } = this.#accepted;
    if (!(Number.isInteger(plugin.contract) && plugin.contract >= oldest && plugin.contract <= newest)) {
      const remedy = plugin.contract > newest ? "core" : "plugin, or an older core";
      const detail = `plugin "${plugin.name}" ${plugin.version} was built for another contract: take a newer ${remedy}`;
      throw new MigrationError("PLUGIN_CONTRACT", detail, {
        side: "define",
        expected: `${oldest} to ${newest}`,
        found: String(plugin.contract),
      });
    }
    return plugin.contract < contract && !this.#all.some((known) => isSame(known, plugin));
  }

  add({ name, version, contract: own }: Plugin<unknown>): void {
    this.#all.push({ name, version, contract: own });
  }

  list(): readonly Listed[] {
    return this.#all;
  }
}

function isSame(a: Listed, b: Listed): boolean {
  return a.name === b.name && a.version === b.version && a.contract === b.contract;
}
