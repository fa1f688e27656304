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
    ["older than the oldest", oldestContract - 1],
    ["newer than the newest", contract + 1],
    ["no number", Number.NaN],
    ["no integer", contract - 0.5],
    ["a text", String(contract) as never],
  ])("is PLUGIN_CONTRACT: %s", (_, of) => {
    const { kernel, warnings } = kernelOf();
    const error = refusalOf(kernel, of);
    expect(error.code).toBe("PLUGIN_CONTRACT");
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
