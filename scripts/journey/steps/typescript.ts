// The device, the machine and the programs of the guide "Ten minutes" type-check against what the registry gave, with the newest TypeScript and with 5.4.
import { join } from "node:path";
import { cells, compile } from "../../consumers/compile.ts";
import { copySources, expect, expectSame, guideCode, type Step, writeJson } from "../journey.ts";

const project = "typescript";

export const typescript: readonly Step[] = [
  {
    name: "TypeScript: install what the user's programs import",
    async run({ shell, user }) {
      const names = ["core", "qtailq-codec", "ram-dirty-tracker", "migration", "transport"].map(
        (name) => `@godwit/${name}`,
      );
      const folder = user(project);
      writeJson(join(folder, "package.json"), { name: project, private: true, type: "module" });
      await shell.output("bun", ["add", ...names], folder);
      return undefined;
    },
  },
  ...cells
    .filter(({ compiler, resolution, dom }) => !dom && (compiler === "typescript" || resolution === "nodenext"))
    .map(({ compiler, resolution }): Step => {
      const label = compiler === "typescript" ? "7" : "5.4";
      return {
        name: `TypeScript ${label}, ${resolution}: the user's device, machine and migration have no errors`,
        async run({ root }) {
          const folder = join(root, project);
          const sources = ["device.ts", "machine.ts", "save.ts", "load.ts", "migrate.ts"];
          copySources(guideCode, sources, join(folder, "src"));
          copySources("user/typescript", ["runtime.d.ts"], join(folder, "src"));
          copySources("user/canary", [""], join(folder, "canary"));
          const cell = { compiler, resolution, dom: false } as const;
          const { findings, expected, cell: name } = await compile(folder, cell, ["src/*.ts", "canary/*.ts"]);
          expect(findings.length === 0, `${name}:\n${findings.join("\n")}`);
          expectSame(expected, 2, "errors to come");
          return undefined;
        },
      };
    }),
];
