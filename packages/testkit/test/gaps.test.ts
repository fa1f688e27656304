// What once passed though it was broken, or failed though it was good: kinds, dropped fields, records of iterables, long
// sections, and what the author is told of tests that pass.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type AnyRecord, array, type KernelForPlugins, type StateOf, u8, u32, until, vmstate } from "@godwit/core";
import { afterAll, expect, it, vi } from "vitest";
import { type CheckName, checks, describePlugin, type PluginTest, pluginChecks } from "../src/index.ts";
import { memoryIterable } from "./planted/iterable.ts";
import { variedTest } from "./planted/plugin.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-gaps-"));
afterAll(() => rmSync(folder, { recursive: true }));

function testOf<M>(setup: (kernel: KernelForPlugins) => M, more: Partial<PluginTest<M>> = {}): PluginTest<M> {
  return {
    // Handed around alone, as the kernel's own `use` may be.
    setup: ({ use }) => use({ name: "gap", version: "1.0.0", contract: 3, setup }),
    goldens: folder,
    sources: new URL("sample-plugin/src/", import.meta.url),
    states: 12,
    ...more,
  };
}

async function found<M>(test: PluginTest<M>, name: CheckName): Promise<readonly string[]> {
  const check = pluginChecks(test).find((one) => one.name === name);
  const { findings, idle } = (await check?.find()) ?? { findings: [], idle: "no such check" };
  return [
    ...findings.map(({ code, section, path }) => [code, section, path].join(" ").trimEnd()),
    ...(idle ? [idle] : []),
  ];
}

const two = vmstate({ name: "two", version: 1, fields: { a: u32, b: u32 } });

it.each([
  ["good", ["a", "b"], []],
  ["forgetful", ["a"], ["STATE_LOST two/0 b"]],
] as const)("a device that a kind makes is loaded: a %s one", async (_, keys, expected) => {
  const setup = (kernel: KernelForPlugins): void =>
    kernel.kind(two, () => {
      const own: Record<string, number> = { a: 0, b: 0 };
      return {
        save: () => ({ ...own }) as { a: number; b: number },
        load: (state: AnyRecord) => {
          for (const key of keys) own[key] = state[key];
        },
      };
    });
  expect(await found(testOf(setup), "states")).toEqual(expected);
});

it("a kind's device is plugged where the test says", async () => {
  const named: string[] = [];
  const setup = (kernel: KernelForPlugins): void =>
    kernel.kind(two, (idstr) => {
      named.push(idstr);
      let own = { a: 0, b: 0 };
      return {
        save: () => ({ ...own }),
        load: (state) => {
          own = state;
        },
      };
    });
  expect(await found(testOf(setup, { plugged: { two: "0000:00:02.0/two" } }), "states")).toEqual([]);
  expect(new Set(named)).toEqual(new Set(["0000:00:02.0/two"]));
});

const dropping = vmstate({
  name: "dropping",
  version: 3,
  minimumVersion: 1,
  fields: { kept: u8, gone: until(3, u32, { absent: 7 }) },
});

it.each([
  ["drops it", () => 7, []],
  ["keeps what it cannot save", (gone: number) => gone, ["SUBSECTION_LOST dropping/0 gone"]],
] as const)("a field that a version dropped: a device that %s", async (_, taken, expected) => {
  const setup = (kernel: KernelForPlugins): void => {
    const own = { kept: 0, gone: 7 };
    kernel.device(dropping, {
      save: () => ({ ...own }),
      load: ({ kept, gone }) => void Object.assign(own, { kept, gone: taken(gone) }),
    });
  };
  expect(await found(testOf(setup), "versions")).toEqual(expected);
});

it.each([
  [["two"], []],
  [[], ["ORDER_DEPENDENT two/0 b"]],
] as const)("the record of an iterable has its place in the order: after %j", async (after, expected) => {
  const setup = (kernel: KernelForPlugins): { a: number; b: number } => {
    const own = { a: 0, b: 0 };
    const memory = { flags: 0 };
    kernel.device(two, { save: () => ({ ...own }), load: (state) => void Object.assign(own, state) });
    const init = { ...memoryIterable(memory), idstr: "handler", after };
    const description = vmstate({ name: "handler", version: 1, fields: { top: u8 } });
    // Writes to its neighbour, whose own load must not come behind that.
    const device = {
      after,
      save: () => ({ top: own.b & 0xff }),
      load: ({ top }: { top: number }) => {
        own.b = (own.b & ~0xff) | top;
        own.b += own.a === 0 ? 0 : 256;
      },
    };
    kernel.iterable(init, { description, device });
    return own;
  };
  const exercise = (own: { a: number; b: number }): void => void Object.assign(own, { a: 3, b: 9 });
  const all = await found(testOf(setup, { exercise }), "order");
  expect(all).toEqual(expected);
});

it("damages every field of a long section, though there are thousands of bytes", async () => {
  const long = vmstate({
    name: "long",
    version: 1,
    fields: { table: array(u32, 5000), mode: u8, end: array(u32, 5000) },
  });
  const setup = (kernel: KernelForPlugins): void => {
    let own: StateOf<typeof long> = { table: new Uint32Array(5000), mode: 0, end: new Uint32Array(5000) };
    kernel.device(long, {
      save: () => own,
      check: ({ mode }) => {
        if (mode > 200) throw new TypeError("no such mode");
      },
      load: (state) => {
        own = state;
      },
    });
  };
  expect(await found(testOf(setup), "refusals")).toEqual(["CHECK_FAILED long/0"]);
});

it("makes fewer machines where fewer states are asked for", async () => {
  const machines = async (states: number): Promise<number> => {
    let made = 0;
    const test = variedTest({}, { states });
    const setup: typeof test.setup = (bench) => {
      made++;
      return test.setup(bench);
    };
    const counted = { ...test, setup };
    for (const name of ["refusals", "allocation"] as const) await found(counted, name);
    return made;
  };
  expect((await machines(4)) * 2).toBeLessThan(await machines(50));
});

it("tells the author why nothing was checked, and which file was written", async () => {
  const told: string[] = [];
  const spy = vi.spyOn(console, "info").mockImplementation((text: string) => void told.push(text));
  const before = process.env["GODWIT_GOLDENS"];
  process.env["GODWIT_GOLDENS"] = "write";
  try {
    const goldens = join(folder, "written");
    const tests = new Map<string, () => Promise<void>>();
    const it = (name: string, body: () => Promise<void>) => tests.set(name, body);
    describePlugin(variedTest({}, { goldens }), { describe: (_, body) => body(), it });
    for (const name of ["manifest", "clocks", "goldens"] as const) await tests.get(`${name}: ${checks[name]}`)?.();
    expect(told).toEqual([
      "@godwit/testkit: clocks: nothing is checked, because the test has no `clocks`: it says of no device when it fires",
      `@godwit/testkit: ${join(goldens, "0.2.0.json")} is written: look at it, and commit it`,
    ]);
  } finally {
    spy.mockRestore();
    if (before === undefined) delete process.env["GODWIT_GOLDENS"];
    else process.env["GODWIT_GOLDENS"] = before;
  }
});
