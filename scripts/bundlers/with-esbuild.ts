// esbuild, as a user would call it.
import { basename, dirname, join } from "node:path";
import { build, type Message } from "esbuild";
import { type Batch, type Bundled, type Bundler, outputNameOf } from "./bundle.ts";

export const esbuild: Bundler = {
  name: "esbuild",
  async bundle(batch: Batch): Promise<Bundled> {
    const { jobs, target, external, minify } = batch;
    const root = dirname(jobs[0]?.path ?? "");
    const made = { bundler: "esbuild", batch };
    try {
      const { outputFiles, metafile, warnings } = await build({
        entryPoints: jobs.map((job) => ({ in: job.path, out: outputNameOf(job, batch) })),
        outdir: root,
        outExtension: { ".js": ".mjs" },
        absWorkingDir: root,
        bundle: true,
        write: false,
        metafile: true,
        format: "esm",
        platform: target,
        target: "es2023",
        external: [...external],
        minify,
        logLevel: "silent",
      });
      const texts = new Map(outputFiles.map(({ path, text }) => [basename(path), text]));
      return {
        ...made,
        bundles: jobs.map((job) => {
          const file = `${outputNameOf(job, batch)}.mjs`;
          const modules = Object.keys(metafile.outputs[file]?.inputs ?? {});
          return {
            name: job.name,
            files: new Map([[file, texts.get(file) ?? ""]]),
            modules: modules.map((path) => join(root, path)),
          };
        }),
        complaints: warnings.map(complaint),
      };
    } catch (error) {
      const { errors } = error as { readonly errors?: readonly Message[] };
      if (errors === undefined) throw error;
      return { ...made, bundles: [], complaints: errors.map(complaint) };
    }
  },
};

function complaint({ text, location }: Message): string {
  return location === null ? text : `${location.file}:${location.line}: ${text}`;
}
