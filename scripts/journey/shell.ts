// Runs commands as a user of a fresh machine would: a home, caches and settings of its own, and of this machine only the
// programs, the certificates and the proxy.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import type { RunResult } from "../run.ts";
import { repositoryRoot } from "../workspaces.ts";

/** What a command failed with is all that it printed. */
class CommandFailed extends Error {}

export interface Shell {
  /** Never throws over an exit code. A command that is not done after four minutes is killed. */
  run(command: string, args: readonly string[], cwd: string): Promise<RunResult>;
  /** Standard output and standard error. `CommandFailed` unless it exits with 0. */
  output(command: string, args: readonly string[], cwd: string): Promise<string>;
  /** Kills what still runs. */
  end(): void;
}

const limitMs = 240_000;
/** What goes through: where certificates lie and how the network is reached. */
const passed = /^(LANG|TZ|TERM|.*_PROXY|.*_proxy|.*_CERTS?|.*_CERT_(FILE|DIR)|.*_CA_BUNDLE|SSL_.*|DENO_TLS_CA_STORE)$/;

/** `root`: a folder outside of the repository. `registryUrl`: what the user's settings name. */
export function makeShell(root: string, registryUrl: string): Shell {
  const [home, programs] = [join(root, "home"), join(root, "bin")];
  mkdirSync(home, { recursive: true });
  mkdirSync(programs, { recursive: true });
  for (const name of ["bun", "bunx", "deno"]) {
    symlinkSync(join(repositoryRoot, "node_modules", ".bin", name), join(programs, name));
  }
  const authority = registryUrl.replace(/^https?:/, "");
  const settings = ["fund=false", "audit=false", "update-notifier=false", "loglevel=error"];
  const lines = [`registry=${registryUrl}`, `${authority}:_authToken=journey`, ...settings];
  writeFileSync(join(home, ".npmrc"), `${lines.join("\n")}\n`);
  const own = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => !folder.includes(`node_modules${sep}.bin`));
  const env = {
    // Deno trusts the machine's authorities only when told to, as the others do: a network may have one of its own.
    DENO_TLS_CA_STORE: "mozilla,system",
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => passed.test(name))),
    PATH: [programs, ...own].join(delimiter),
    HOME: home,
    USERPROFILE: home,
    TMPDIR: root,
    XDG_CACHE_HOME: join(home, ".cache"),
    XDG_CONFIG_HOME: join(home, ".config"),
    npm_config_cache: join(root, "cache", "npm"),
    BUN_INSTALL_CACHE_DIR: join(root, "cache", "bun"),
    DENO_DIR: join(root, "cache", "deno"),
    DENO_NO_UPDATE_CHECK: "1",
    DO_NOT_TRACK: "1",
    NO_COLOR: "1",
    CI: "true",
  };
  const children = new Set<ChildProcess>();
  const kill = ({ pid }: ChildProcess) => {
    try {
      // Its whole group: what a package manager has started must not outlive it.
      if (pid !== undefined) process.kill(-pid, "SIGKILL");
    } catch {
      // Nothing of it runs any more.
    }
  };

  const runHere: Shell["run"] = (command, args, cwd) => {
    const startMs = Date.now();
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    children.add(child);
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        chunks.push(Buffer.from(`${command} was not done after ${limitMs / 1000} s, and was killed\n`));
        kill(child);
      }, limitMs);
      const end = (exitCode: number) => {
        clearTimeout(late);
        children.delete(child);
        resolve({ exitCode, output: Buffer.concat(chunks).toString(), seconds: (Date.now() - startMs) / 1000 });
      };
      child.on("error", (error) => {
        chunks.push(Buffer.from(`${command}: ${error.message}\n`));
        end(127);
      });
      child.on("close", (code) => end(code ?? 1));
    });
  };
  return {
    run: runHere,
    async output(command, args, cwd) {
      const { exitCode, output } = await runHere(command, args, cwd);
      if (exitCode === 0) return output;
      throw new CommandFailed(`${command} ${args.join(" ")} in ${cwd} ended with ${exitCode}:\n${output}`);
    },
    end: () => children.forEach(kill),
  };
}
