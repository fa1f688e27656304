// Vite, whose bundler is Rolldown, as a user would call it: without a configuration of its own.
import { dirname } from "node:path";
import { build, createLogger, type InlineConfig, type Rolldown } from "vite";
import { type Batch, type Bundle, type Bundled, type Bundler, type Job, outputNameOf } from "./bundle.ts";

export const vite: Bundler = {
  name: "vite",
  async bundle(batch: Batch): Promise<Bundled> {
    const complaints: string[] = [];
    const bundles: Bundle[] = [];
    // One by one: several together would share their modules, in files between them.
    for (const job of batch.jobs) {
      const complain = (text: string) => void complaints.push(`${job.name}: ${text}`);
      try {
        bundles.push(await bundleOne(job, batch, complain));
      } catch (error) {
        complain((error as Error).message);
      }
    }
    return { bundler: "vite", batch, bundles, complaints };
  },
};

async function bundleOne(job: Job, batch: Batch, complain: (text: string) => void): Promise<Bundle> {
  const { target, external, minify } = batch;
  const logger = createLogger("silent");
  Object.assign(logger, { warn: complain, warnOnce: complain, error: complain });
  const config: InlineConfig = {
    root: dirname(job.path),
    configFile: false,
    publicDir: false,
    logLevel: "warn",
    customLogger: logger,
    build: {
      write: false,
      target: "es2023",
      minify,
      ssr: target === "node",
      reportCompressedSize: false,
      chunkSizeWarningLimit: 10_000,
      rolldownOptions: {
        input: job.path,
        external: [...external],
        preserveEntrySignatures: "strict",
        output: { entryFileNames: `${outputNameOf(job, batch)}.mjs` },
      },
    },
    ...(target === "node" && { ssr: { noExternal: true, external: [...external] } }),
  };
  const { output } = (await build(config)) as Rolldown.RolldownOutput;
  const chunks = output.filter((each) => each.type === "chunk");
  return {
    name: job.name,
    files: new Map(chunks.map(({ fileName, code }) => [fileName, code])),
    modules: chunks.flatMap(({ moduleIds }) => moduleIds),
  };
}
