// What a bundler is given, and what it makes of it.
import type { Target } from "./entries.ts";

export interface Job {
  /** The entry, or what stands for one; unique among those of a target. */
  readonly name: string;
  /** Path of the module to begin with, in a project that has the packages installed. */
  readonly path: string;
}

/** Jobs that go in one run: each of them becomes a bundle of its own all the same. */
export interface Batch {
  readonly jobs: readonly Job[];
  readonly target: Target;
  /** Node's: packages that stay outside. A browser's bundle is whole. */
  readonly external: readonly string[];
  readonly minify: boolean;
}

export interface Bundle {
  readonly name: string;
  /** The output by its names; the first one is what begins. */
  readonly files: ReadonlyMap<string, string>;
  /** Paths of the modules that went in. */
  readonly modules: readonly string[];
}

export interface Bundled {
  readonly bundler: string;
  readonly batch: Batch;
  readonly bundles: readonly Bundle[];
  /** Whatever it did not like: warnings, and errors. */
  readonly complaints: readonly string[];
}

export interface Bundler {
  readonly name: string;
  bundle(batch: Batch): Promise<Bundled>;
}

/** What a job's output is called, without an ending. */
export function outputNameOf({ name }: Job, { target }: Batch): string {
  return `${name.replace(/[^a-z0-9]+/gi, "-").replace(/^-/, "")}.${target}`;
}
