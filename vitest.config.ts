// One root configuration for every workspace: `projects` would not hand the source condition down to them.
import { defineConfig } from "vitest/config";

const conditions = ["godwit:source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    pool: "forks",
    // By default one core is left for a watcher, which is half of a machine with two.
    maxWorkers: "100%",
    testTimeout: 60_000,
    reporters: ["default", "./scripts/tally.ts"],
    include: [
      "{packages,plugins,apps}/*/test/**/*.test.ts",
      "scripts/test/**/*.test.ts",
      "docs/guides/code/**/*.test.ts",
    ],
    benchmark: { include: [] },
    coverage: { provider: "istanbul", include: ["{packages,plugins,apps}/*/src/**/*.ts"] },
  },
});
