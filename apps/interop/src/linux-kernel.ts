// Debian's kernel for virtual machines. It is never part of this repository: it is taken from a folder that is named, or
// fetched with apt, once, into a cache folder outside.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";

export interface LinuxKernel {
  readonly release: string;
  /** The boot image, for QEMU's `-kernel`. */
  readonly imagePath: string;
  /** The files of its modules, by their names without `.ko`. */
  readonly modules: ReadonlyMap<string, string>;
}

/** The kernel, or a sentence that says why there is none. */
export type FoundLinuxKernel = { readonly kernel: LinuxKernel } | { readonly problem: string };

const metaPackage = "linux-image-cloud-amd64";

/**
 * `GODWIT_LINUX` names a folder that Debian's package `linux-image-…-cloud-amd64` was unpacked into; without it, or where it
 * is empty, apt downloads the package into `~/.cache/godwit`.
 */
export function findLinuxKernel(): FoundLinuxKernel {
  const named = process.env["GODWIT_LINUX"];
  if (named !== undefined && named !== "") {
    const kernel = kernelIn(named);
    if (kernel !== undefined) return { kernel };
    return {
      problem: `no Linux: the folder ${named}, which GODWIT_LINUX names, has no boot/vmlinuz-* with its modules`,
    };
  }
  const cached = kernelIn(cacheFolder());
  if (cached !== undefined) return { kernel: cached };
  const why = fetchInto(cacheFolder());
  const kernel = kernelIn(cacheFolder());
  if (kernel !== undefined) return { kernel };
  return { problem: `no Linux: ${why} (GODWIT_LINUX may name a folder with an unpacked ${metaPackage})` };
}

const cacheFolder = (): string => join(homedir(), ".cache", "godwit", metaPackage);

function kernelIn(root: string): LinuxKernel | undefined {
  const boot = join(root, "boot");
  const image = existsSync(boot) ? readdirSync(boot).find((name) => name.startsWith("vmlinuz-")) : undefined;
  if (image === undefined) return undefined;
  const release = image.slice("vmlinuz-".length);
  const folder = ["lib/modules", "usr/lib/modules"].map((path) => join(root, path, release)).find(existsSync);
  if (folder === undefined) return undefined;
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ko"));
  const modules = new Map(paths.map((path) => [basename(path, ".ko"), join(folder, path)]));
  return { release, imagePath: join(boot, image), modules };
}

/** Why it could not; empty where it could. Needs no root. What is unpacked takes its place by one rename. */
function fetchInto(target: string): string {
  mkdirSync(join(target, ".."), { recursive: true });
  const folder = mkdtempSync(`${target}-`);
  try {
    const problem = unpackFrom(folder, []) && unpackFrom(folder, listsOfOurOwn(folder));
    if (problem === "") renameSync(join(folder, "unpacked"), target);
    return problem;
  } catch (error) {
    // Somebody else was a moment faster.
    if (kernelIn(target) !== undefined) return "";
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A machine that never asked has empty lists, or old ones, and only its administrator may change those. */
function listsOfOurOwn(folder: string): readonly string[] {
  for (const path of ["state/lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(folder, path), { recursive: true });
  }
  return ["-o", `Dir::State=${folder}/state`, "-o", `Dir::Cache=${folder}/cache`, "-o", "APT::Update::Error-Mode=any"];
}

/** Downloads by apt with these options, and unpacks into `unpacked`; the first thing that went wrong, or nothing. */
function unpackFrom(folder: string, options: readonly string[]): string {
  let problem = "";
  const run = (...words: readonly string[]): string => {
    const [command = "", ...rest] = words;
    const { status, stdout, stderr } = spawnSync(command, rest, { cwd: folder, encoding: "utf8" });
    if (status === 0) return stdout;
    problem ||= `${words[0]} ${words[1]} failed: ${(stderr || "it is not installed").trim().split("\n").at(-1)}`;
    return "";
  };
  if (options.length > 0) run("apt-get", "update", "-qq", ...options);
  const depends = run("apt-cache", "depends", metaPackage, ...options);
  const name = /Depends: (linux-image-\S+-cloud-amd64)/.exec(depends)?.[1];
  if (name === undefined) return problem || `apt knows no ${metaPackage}`;
  run("apt-get", "download", "-qq", name, ...options);
  const file = readdirSync(folder).find((each) => each.endsWith(".deb"));
  if (file !== undefined) run("dpkg-deb", "-x", file, "unpacked");
  return problem;
}

/** Modules in the order in which they can be loaded: each behind those that it says it depends on. */
export function moduleOrder(kernel: LinuxKernel, names: readonly string[]): readonly string[] {
  const order: string[] = [];
  const add = (name: string): void => {
    const path = kernel.modules.get(name);
    if (path === undefined) throw new Error(`Linux ${kernel.release} has no module ${name}`);
    if (order.includes(path)) return;
    for (const needed of dependenciesOf(readFileSync(path))) add(needed);
    order.push(path);
  };
  for (const name of names) add(name);
  return order;
}

/** What the section `.modinfo` says behind `depends=`. */
function dependenciesOf(module: Uint8Array): string[] {
  const text = Buffer.from(module.buffer, module.byteOffset, module.length).toString("latin1");
  const depends = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return depends.split(",").filter((name) => name !== "");
}
