// A guest that uses MSI: its set-up travels in configuration space, and routes come up as those of MSI-X do.
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { modes, send, type TestMachine, testMachine } from "./support/machine.ts";

/** Message control: up to 4 vectors, and what a function may have beside that. */
const four = 0x0004;
const wide = 0x0080;
const maskable = 0x0100;
const [enable, grantTwo] = [0x0001, 0x0010];

/** The guest lets the function have `grant` vectors, at 0xfee01000 with the data 0x4033, whose low bits are the vector's. */
function enableMsi({ kernel, devices }: TestMachine, control: number, grant = grantTwo): void {
  kernel.resume();
  const own = devices[0]?.function;
  own?.configWrite(at.msi + 4, 4, 0xfee0_1000);
  if ((control & wide) !== 0) own?.configWrite(at.msi + 8, 4, 0x12);
  own?.configWrite(at.msi + ((control & wide) === 0 ? 8 : 12), 2, 0x4033);
  own?.configWrite(at.msi + 2, 2, enable | grant);
}

describe.each(modes)("$name", ({ dialect, configOrder }) => {
  it.each([four, four | wide, four | maskable, four | wide | maskable])(
    "control %i: it is routed behind the controller, and delivered when the machine runs",
    async (control) => {
      const options = { dialect, configOrder, vector: 1, config: testConfig({ vectors: 0, msiControl: control }) };
      const [source, target] = [testMachine([options]), testMachine([options])];
      enableMsi(source, control);
      source.devices[0]?.function.driver.work(1);
      expect(source.delivered).toEqual(["1.1"]);
      await target.kernel.load((await send(source)).bytes);
      expect(target.log).toEqual(["hold", "load irqchip", "attach 1.0", "attach 1.1", "load last", "release"]);
      const own = target.devices[0]?.function;
      expect([target.delivered, own?.driver.jobs, own?.configRead(at.msi + 2, 2)]).toEqual([
        [],
        1n,
        control | enable | grantTwo,
      ]);
      target.kernel.resume();
      expect(target.delivered).toEqual(["1.1"]);
    },
  );
});

describe("MSI", () => {
  it("puts the vector into the data, with vectors that the guest does not grant sharing", () => {
    const messages: unknown[] = [];
    for (const control of [four, four | wide]) {
      const machine = testMachine([{ vector: 3, config: testConfig({ vectors: 0, msiControl: control }) }], {
        attached: (...message) => messages.push(message),
      });
      enableMsi(machine, control);
      machine.devices[0]?.function.driver.work(1);
      expect(machine.delivered).toEqual(["1.1"]);
    }
    expect(messages).toEqual([
      [0, 0xfee0_1000, 0x4032],
      [1, 0xfee0_1000, 0x4033],
      [0, 0x12_fee0_1000, 0x4032],
      [1, 0x12_fee0_1000, 0x4033],
    ]);
  });

  it("waits behind its mask in configuration space, on either side", async () => {
    const control = four | maskable;
    const options = { vector: 1, config: testConfig({ vectors: 0, msiControl: control }) };
    const [source, target] = [testMachine([options]), testMachine([options])];
    enableMsi(source, control);
    source.devices[0]?.function.configWrite(at.msi + 12, 4, 0b10);
    source.devices[0]?.function.driver.work(1);
    expect([source.delivered, source.devices[0]?.function.configRead(at.msi + 16, 4)]).toEqual([[], 0b10]);
    await target.kernel.load((await send(source)).bytes);
    target.kernel.resume();
    expect([target.delivered, target.devices[0]?.function.configRead(at.msi + 16, 4)]).toEqual([[], 0b10]);
    target.devices[0]?.function.configWrite(at.msi + 12, 4, 0);
    expect([target.delivered, target.devices[0]?.function.configRead(at.msi + 16, 4)]).toEqual([["1.1"], 0]);
  });

  it("gives its routes up when the guest disables it, for the pin or for MSI-X", () => {
    const machine = testMachine([{ config: testConfig({ vectors: 4, msiControl: four }) }]);
    enableMsi(machine, four);
    const own = machine.devices[0]?.function;
    machine.log.length = 0;
    own?.configWrite(at.msi + 2, 2, 0);
    expect(machine.log).toEqual(["detach 1.0", "detach 1.1"]);
    own?.driver.work(1);
    expect(machine.pins).toEqual([true]);
    own?.msixWrite(12, 4, 0);
    own?.configWrite(at.msix + 2, 2, 0x8000);
    own?.driver.work(1);
    expect(machine.delivered).toEqual(["1.pin", "1.0"]);
    // A function that signals by messages does not use its pin (PCI Local Bus 3.0, section 6.8).
    expect([machine.pins, own?.interrupts.irqState[0]]).toEqual([[true, false], 0]);
  });

  it("is as after power-on when the function is reset: no routes, nothing pending, every vector masked", () => {
    const machine = testMachine([{ config: testConfig({ vectors: 4, msiControl: four }) }]);
    const own = machine.devices[0]?.function;
    const fresh = own?.save();
    enableMsi(machine, four);
    own?.msixWrite(12, 4, 0);
    machine.kernel.pause();
    own?.interrupts.raise(0);
    machine.log.length = 0;
    own?.reset();
    expect([own?.save(), machine.log]).toEqual([fresh, ["detach 1.0", "detach 1.1"]]);
    enableMsi(machine, four);
    expect(machine.delivered).toEqual([]);
  });

  it("moves a route with its message", () => {
    const machine = testMachine([{ config: testConfig({ vectors: 0, msiControl: four }) }]);
    enableMsi(machine, four, 0);
    machine.log.length = 0;
    machine.devices[0]?.function.configWrite(at.msi + 8, 2, 0x4050);
    expect(machine.log).toEqual(["detach 1.0", "attach 1.0"]);
  });
});
