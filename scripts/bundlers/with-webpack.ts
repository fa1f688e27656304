// webpack, as a user would call it, with ES modules as its output.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Stats, StatsModule } from "webpack";
import { type Batch, type Bundled, type Bundler, outputNameOf } from "./bundle.ts";

// An import would touch all that it exports, what is deprecated as well, and each of these has its say.
const compilerOf = createRequire(import.meta.url)("webpack") as typeof import("webpack");

export const webpack: Bundler = {
  name: "webpack",
  async bundle(batch: Batch): Promise<Bundled> {
    const { jobs, target, external, minify } = batch;
    const folder = mkdtempSync(join(tmpdir(), "godwit-webpack-"));
    try {
      const compiler = compilerOf({
        context: dirname(jobs[0]?.path ?? ""),
        entry: Object.fromEntries(jobs.map((job) => [outputNameOf(job, batch), job.path])),
        mode: "production",
        devtool: false,
        target: target === "node" ? "node20" : ["web", "es2023"],
        experiments: { outputModule: true },
        externals: [...external],
        externalsType: "module",
        optimization: { minimize: minify },
        performance: { hints: false },
        output: { path: folder, filename: "[name].mjs", module: true, library: { type: "module" } },
      });
      const stats = await new Promise<Stats>((resolve, reject) =>
        compiler.run((error, result) => {
          if (result === undefined) reject(error);
          else compiler.close(() => resolve(result));
        }),
      );
      const all = Number.POSITIVE_INFINITY;
      const { entrypoints, modules, chunks, warnings, errors } = stats.toJson({
        all: false,
        entrypoints: true,
        chunks: true,
        chunkRelations: true,
        modules: true,
        ids: true,
        nestedModules: true,
        modulesSpace: all,
        nestedModulesSpace: all,
        warnings: true,
        errors: true,
      });
      const bundles = errors?.length ? [] : jobs;
      return {
        bundler: "webpack",
        batch,
        bundles: bundles.map((job) => {
          // What is imported later has chunks of its own.
          const ids = new Set<unknown>(entrypoints?.[outputNameOf(job, batch)]?.chunks);
          for (const id of ids)
            for (const child of chunks?.find((each) => each.id === id)?.children ?? []) ids.add(child);
          const own = (chunks ?? []).filter(({ id }) => ids.has(id));
          const names = own.flatMap(({ files = [] }) => files);
          const first = `${outputNameOf(job, batch)}.mjs`;
          names.sort((a, b) => Number(b === first) - Number(a === first));
          return {
            name: job.name,
            files: new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")])),
            modules: (modules ?? [])
              .filter((each) => each.chunks?.some((id) => ids.has(id)))
              .flatMap((each) => pathsOf(each)),
          };
        }),
        complaints: [...(errors ?? []), ...(warnings ?? [])].map(({ message, moduleName = "" }) =>
          `${moduleName} ${message}`.trim(),
        ),
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** Modules that were joined stand inside of the one that they became. */
function pathsOf({ nameForCondition, modules }: StatsModule): string[] {
  return [...(nameForCondition ? [nameForCondition] : []), ...(modules ?? []).flatMap(pathsOf)];
}
