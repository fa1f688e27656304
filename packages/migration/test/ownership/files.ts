// A file system of one folder, whose power can be cut: what was not synced may be gone after a reboot.
import type { OwnershipFile, OwnershipFiles } from "@godwit/migration/ownership-file";

interface Content {
  text: string;
  synced: string;
}

class PowerCut extends Error {}

export function isCut(error: unknown): boolean {
  return error instanceof PowerCut;
}

/** Names are durable when their folder was synced, bytes when their file was. Everything is in `/log` or a folder in it. */
export class CuttableFiles implements OwnershipFiles {
  #names = new Map<string, Content>();
  #syncedNames = new Map<string, Content>();
  #steps = Number.POSITIVE_INFINITY;
  #folders = 0;

  /** Power is there for so many more steps. */
  cutAfter(steps: number): void {
    this.#steps = steps;
  }

  reboot(kept: "all" | "synced"): void {
    this.#steps = Number.POSITIVE_INFINITY;
    if (kept === "synced") this.#names = new Map(this.#syncedNames);
    for (const content of this.#names.values()) content.text = content.synced;
    this.#syncedNames = new Map(this.#names);
  }

  async readdir(folder: string): Promise<string[]> {
    this.#step();
    const names = [...this.#names.keys()].flatMap((path) => {
      const [name] = path.slice(folder.length + 1).split("/");
      return path.startsWith(`${folder}/`) && name !== undefined ? [name] : [];
    });
    return [...new Set(names)];
  }

  async readFile(path: string): Promise<string> {
    this.#step();
    return this.#at(path).text;
  }

  async mkdtemp(prefix: string): Promise<string> {
    this.#step();
    return `${prefix}${this.#folders++}`;
  }

  async open(path: string): Promise<OwnershipFile> {
    this.#step();
    const isFolder = path === "/log";
    if (!isFolder) this.#names.set(path, { text: "", synced: "" });
    return {
      writeFile: async (text) => {
        this.#step();
        this.#at(path).text = text;
      },
      sync: async () => {
        this.#step();
        if (isFolder) this.#syncedNames = new Map(this.#names);
        else this.#at(path).synced = this.#at(path).text;
      },
      close: async () => this.#step(),
    };
  }

  async link(existing: string, added: string): Promise<void> {
    this.#step();
    if (this.#names.has(added)) throw Object.assign(new Error("it is there"), { code: "EEXIST" });
    this.#names.set(added, this.#at(existing));
  }

  async rm(path: string): Promise<void> {
    this.#step();
    for (const name of this.#names.keys()) if (name === path || name.startsWith(`${path}/`)) this.#names.delete(name);
  }

  #at(path: string): Content {
    const content = this.#names.get(path);
    if (content === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return content;
  }

  #step(): void {
    if (this.#steps-- <= 0) throw new PowerCut("the power is cut");
  }
}
