// Which plugins a kernel takes: those of an accepted contract, an older one with one warning; what else comes is told by
// both its own number and the accepted ones. Written relative to `contract`, so that it holds for later ones.
import { describe, expect, it } from "vitest";
import {
  contract,
  createKernel,
  isMigrationError,
  type Kernel,
  type KernelOptions,
  type MigrationError,
  oldestContract,
  type Plugin,
  type Registration,
  u32,
  virtualClock,
  vmstate,
} from "../src/index.ts";

type Accepted = NonNullable<KernelOptions["acceptedContracts"]>;

function kernelOf(acceptedContracts?: Accepted): { kernel: Kernel; warnings: unknown[] } {
  const kernel = createKernel({
    machineType: "contracts",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
    ...(acceptedContracts === undefined ? {} : { acceptedContracts }),
  });
  const warnings: unknown[] = [];
  kernel.events.on("plugin-contract", ({ name, contract: own }, kernelContract) => {
    warnings.push([name, own, kernelContract]);
  });
  return { kernel, warnings };
}

const counter = vmstate({ name: "counter", version: 1, fields: { value: u32 } });

interface Counter {
  value: number;
  readonly registration: Registration;
}

function plugin(of: number, path = "slot0"): Plugin<Counter> {
  return {
    name: "acme-counter",
    version: "1.2.3",
    contract: of,
    setup(kernel) {
      const own: Counter = {
        value: 0,
        registration: kernel.device(counter, {
          path,
          save: () => ({ value: own.value }),
          load: ({ value }) => {
            own.value = value;
          },
        }),
      };
      return own;
    },
  };
}

function refusalOf(kernel: Kernel, of: number): MigrationError {
  const sections = kernel.manifest().sections.length;
  try {
    kernel.use(plugin(of));
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    // Nothing of it was set up.
    expect(kernel.manifest().sections).toHaveLength(sections);
    expect(kernel.manifest().plugins).toEqual([]);
    return error;
  }
  throw new Error(`contract ${of} was taken`);
}

describe("the range of accepted contracts", () => {
  it("is one of integers that this core's own contract ends", () => {
    expect([oldestContract, contract].every(Number.isInteger)).toBe(true);
    expect(oldestContract).toBeGreaterThanOrEqual(1);
    expect(oldestContract).toBeLessThan(contract);
  });
});

describe("a plugin of this core's contract", () => {
  it("works without a word", () => {
    const { kernel, warnings } = kernelOf();
    kernel.use(plugin(contract));
    expect(warnings).toEqual([]);
    expect(kernel.manifest().plugins).toEqual([{ name: "acme-counter", version: "1.2.3", contract }]);
  });
});

describe.each(Array.from({ length: contract - oldestContract }, (_, i) => oldestContract + i))(
  "a plugin of contract %i, which is older and accepted",
  (older) => {
    it("is saved and loaded like any other", async () => {
      const [here, there] = [kernelOf(), kernelOf()];
      const own = here.kernel.use(plugin(older));
      own.value = 42;
      const stream: Uint8Array[] = [];
      for await (const chunk of here.kernel.save()) stream.push(chunk);
      const arrived = there.kernel.use(plugin(older));
      await there.kernel.load(stream);
      expect(arrived.value).toBe(42);
      there.kernel.restore(there.kernel.snapshot());
      expect(here.kernel.manifest().plugins).toEqual([{ name: "acme-counter", version: "1.2.3", contract: older }]);
      // Once in all, and not once a save or load.
      expect([here.warnings, there.warnings]).toEqual([
        [["acme-counter", older, contract]],
        [["acme-counter", older, contract]],
      ]);
    });

    it("is warned of once, however many devices it is used for", () => {
      const { kernel, warnings } = kernelOf();
      kernel.use(plugin(older, "slot0"));
      kernel.use(plugin(older, "slot1"));
      expect(warnings).toEqual([["acme-counter", older, contract]]);
      kernel.use({ ...plugin(older, "slot2"), name: "other" });
      kernel.use({ ...plugin(older, "slot3"), version: "1.2.4" });
      kernel.use(plugin(contract, "slot4"));
      expect(warnings.map((warning) => (warning as unknown[])[0])).toEqual(["acme-counter", "other", "acme-counter"]);
      expect(kernel.manifest().sections.filter(({ idstr }) => idstr.endsWith("/counter"))).toHaveLength(5);
    });

    it("is refused by a kernel that does not accept it any more", () => {
      const error = refusalOf(kernelOf({ oldest: older + 1, newest: contract }).kernel, older);
      expect([error.code, error.expected, error.found]).toEqual([
        "PLUGIN_CONTRACT",
        `${older + 1} to ${contract}`,
        String(older),
      ]);
    });
  },
);

describe("a plugin of a contract that is not accepted", () => {
  it.each([
    ["older than the oldest", oldestContract - 1, "plugin, or an older core"],
    ["newer than the newest", contract + 1, "core"],
    ["no number", Number.NaN, "plugin, or an older core"],
    ["no integer", contract - 0.5, "plugin, or an older core"],
    ["a text", String(contract) as never, "plugin, or an older core"],
  ])("is PLUGIN_CONTRACT, and says what to take: %s", (_, of, newer) => {
    const { kernel, warnings } = kernelOf();
    const error = refusalOf(kernel, of);
    expect(error.code).toBe("PLUGIN_CONTRACT");
    expect(error.detail).toBe(`plugin "acme-counter" 1.2.3 was built for another contract: take a newer ${newer}`);
    expect([error.expected, error.found]).toEqual([`${oldestContract} to ${contract}`, String(of)]);
    for (const part of ["acme-counter", "1.2.3", `${oldestContract} to ${contract}`, `found ${of}`]) {
      expect(error.message).toContain(part);
    }
    expect(error.location.side).toBe("define");
    expect(warnings).toEqual([]);
    // The kernel goes on as before.
    kernel.use(plugin(contract));
    expect(kernel.manifest().plugins).toHaveLength(1);
  });

  it("that works nevertheless can be let in by hand, without a warning where it is newer", () => {
    const { kernel, warnings } = kernelOf({ oldest: oldestContract - 1, newest: contract + 1 });
    kernel.use(plugin(oldestContract - 1, "slot0"));
    kernel.use(plugin(contract + 1, "slot1"));
    expect(warnings).toEqual([["acme-counter", oldestContract - 1, contract]]);
  });
});

describe("two plugins that claim one section", () => {
  const named = (name: string, version: string, path?: string): Plugin<unknown> => ({
    ...{ name, version, contract },
    setup: (kernel) =>
      kernel.device(counter, { ...(path && { path }), save: () => ({ value: 0 }), load: () => {} }) as unknown,
  });
  const errorOf = (work: () => unknown): [string, string, string | undefined] => {
    try {
      work();
    } catch (error) {
      if (isMigrationError(error)) return [error.code, error.detail, error.location.section];
      throw error;
    }
    throw new Error("nothing was refused");
  };

  it("are both named, the one that was first and the one that comes now", () => {
    const { kernel } = kernelOf();
    kernel.use(named("one", "1.0.0", "slot0"));
    expect(errorOf(() => kernel.use(named("two", "2.1.0", "slot0")))).toEqual([
      "SECTION_DUPLICATE",
      '"slot0/counter/0" is registered already: first by one 1.0.0, now by two 2.1.0',
      "slot0/counter/0",
    ]);
    kernel.use(named("one", "1.0.0"));
    expect(errorOf(() => kernel.use(named("one", "1.1.0")))).toEqual([
      "INSTANCE_AMBIGUOUS",
      'a second "counter" needs an instance, or a path: first by one 1.0.0, now by one 1.1.0',
      "counter/0",
    ]);
  });

  it("are told from what the machine registers by itself, also behind a plugin that threw", () => {
    const { kernel } = kernelOf();
    const init = { save: () => ({ value: 0 }), load: () => {} };
    kernel.use(named("one", "1.0.0"));
    const own = () => kernel.device(counter, { ...init, instance: 0 });
    const text = '"counter/0" is registered already: first by one 1.0.0, now by no plugin';
    expect(errorOf(own)[1]).toBe(text);
    expect(errorOf(() => kernel.use(named("two", "1.0.0")))[0]).toBe("INSTANCE_AMBIGUOUS");
    expect(errorOf(own)[1]).toBe(text);
    kernel.device(counter, { ...init, instance: 1 });
    expect(errorOf(() => kernel.device(counter, { ...init, instance: 1 }))[1]).toBe(
      '"counter/1" is registered already',
    );
  });

  it("are told apart where the one sets the other up", () => {
    const { kernel } = kernelOf();
    const outer: Plugin<void> = {
      ...{ name: "outer", version: "3.0.0", contract },
      setup(inner) {
        kernel.use(named("one", "1.0.0", "slot0"));
        inner.device(counter, { path: "slot1", save: () => ({ value: 0 }), load: () => {} });
      },
    };
    kernel.use(outer);
    const claims = (path: string) => errorOf(() => kernel.use(named("two", "2.0.0", path)))[1].split(": ")[1];
    expect(claims("slot0")).toBe("first by one 1.0.0, now by two 2.0.0");
    expect(claims("slot1")).toBe("first by outer 3.0.0, now by two 2.0.0");
  });
});
