// A machine with VFIO devices, an interrupt controller that must be loaded before anybody uses it, and a log of what
// happened. The controller is registered last, so that only `after` puts it first.
import { createKernel, type DeviceInit, type Kernel, u32, virtualClock, vmstate } from "@godwit/core";
import {
  type ConfigOrder,
  type InterruptRouter,
  type ModelDriver,
  type ModelInit,
  modelDriver,
  type VfioContainer,
  type VfioDialect,
  type VfioPciOffer,
  type VfioPciOptions,
  vfioContainer,
  vfioPci,
} from "@godwit/vfio-config-subflag";
import { at, testConfig } from "./config.ts";

export interface DeviceOptions extends Partial<ModelInit> {
  readonly dialect?: VfioDialect;
  readonly chunkBytes?: number;
  readonly switchoverAck?: boolean;
  readonly initialDataLoaded?: () => void;
  readonly config?: VfioPciOptions<ModelDriver>["config"];
}

export interface TestMachine {
  readonly kernel: Kernel;
  readonly container: VfioContainer;
  readonly devices: readonly VfioPciOffer<ModelDriver>[];
  readonly log: string[];
  /** Vectors that reached the guest. */
  readonly delivered: string[];
  /** Levels of the pin, as they were told. */
  readonly pins: boolean[];
  /** The controller's load throws. */
  failController: boolean;
}

const controller = vmstate({ name: "irqchip", version: 1, fields: { enabled: u32 } });
const last = vmstate({ name: "last", version: 1, fields: { value: u32 } });

export const path = (slot: number): string => `0000:00:0${slot}.0`;

export function testMachine(
  devices: readonly DeviceOptions[],
  more: { failLast?: () => boolean; attached?: (vector: number, address: number, data: number) => void } = {},
): TestMachine {
  let now = 0n;
  let held = false;
  let ready = true;
  const log: string[] = [];
  const delivered: string[] = [];
  const pins: boolean[] = [];
  const kernel = createKernel({
    machineType: "vfio-test-1",
    clock: virtualClock(() => {
      now += 1000n;
      return now;
    }),
    machine: {
      pause: () => log.push("pause"),
      resume: () => log.push("resume"),
      reset: () => {},
      holdInterrupts(hold) {
        held = hold;
        // While a state is put in place the controller has none, until its load; one that kept its own has that.
        ready = !hold;
        log.push(hold ? "hold" : "release");
      },
    },
  });
  const container = vfioContainer();
  const routerOf = (slot: number): InterruptRouter => ({
    attach(vector, address, data) {
      more.attached?.(vector, address, data);
      log.push(`attach ${slot}.${vector}`);
      if (!ready) throw new Error("the interrupt controller is not there");
    },
    detach: (vector) => log.push(`detach ${slot}.${vector}`),
    signal(vector) {
      log.push(`signal ${slot}.${vector}`);
      if (!ready || held || !kernel.clock.running) throw new Error("an interrupt that nobody could take");
      delivered.push(`${slot}.${vector}`);
    },
    setIntx(level) {
      pins.push(level);
      if (level && (!ready || held || !kernel.clock.running)) throw new Error("an interrupt that nobody could take");
      if (level) delivered.push(`${slot}.pin`);
    },
  });
  const offers = devices.map((options, i) => {
    const { dialect, chunkBytes, switchoverAck, initialDataLoaded, config = testConfig(), ...model } = options;
    return kernel.use(
      vfioPci({
        path: path(i + 1),
        container,
        config,
        driver: modelDriver({ memoryBytes: 64 * 1024, configOrder: "not-needed", ...model }),
        interrupts: routerOf(i + 1),
        after: ["irqchip"],
        ...(dialect && { dialect }),
        ...(chunkBytes && { chunkBytes }),
        ...(switchoverAck && { switchoverAck }),
        ...(initialDataLoaded && { initialDataLoaded }),
      }),
    );
  });
  const machine: TestMachine = { kernel, container, devices: offers, log, delivered, pins, failController: false };
  const irqchip: DeviceInit<{ enabled: number }> = {
    save: () => ({ enabled: 1 }),
    load() {
      log.push("load irqchip");
      if (machine.failController) {
        machine.failController = false;
        throw new Error("planted in the controller");
      }
      ready = true;
    },
  };
  kernel.device(last, {
    after: devices.length === 0 ? [] : [`${path(1)}/vfio`],
    save: () => ({ value: 1 }),
    load() {
      log.push("load last");
      if (more.failLast?.()) throw new Error("planted behind all devices");
    },
  });
  kernel.device(controller, irqchip);
  return machine;
}

/** The machine runs, and the guest has set up MSI-X: `vectors` unmasked. */
export function boot(machine: TestMachine, vectors = 1): void {
  machine.kernel.resume();
  for (const { function: own } of machine.devices) {
    for (let vector = 0; vector < vectors; vector++) {
      own.msixWrite(16 * vector, 4, 0xfee0_0000 + 4096 * vector);
      own.msixWrite(16 * vector + 8, 4, 0x40 + vector);
      own.msixWrite(16 * vector + 12, 4, 0);
    }
    own.configWrite(at.msix + 2, 2, 0x8000);
  }
}

export interface Sent {
  readonly bytes: Uint8Array;
  readonly phases: readonly string[];
}

/** A live migration's source side: rounds of pre-copy with the machine running, then completion. */
export async function send(
  { kernel }: TestMachine,
  { rounds = 3, budgetBytes = 1 << 20, between = (_round: number): void => {}, last = (): void => {} } = {},
): Promise<Sent> {
  const chunks: Uint8Array[] = [];
  const attempt = kernel.outgoing();
  let completed = false;
  try {
    chunks.push(...attempt.setup());
    for (let round = 0; round < rounds; round++) {
      between(round);
      chunks.push(...attempt.iterate(budgetBytes));
    }
    last();
    await kernel.quiesce();
    kernel.pause();
    chunks.push(...attempt.complete());
    completed = true;
    return {
      bytes: new Uint8Array(Buffer.concat(chunks)),
      phases: attempt.sections.filter(({ idstr }) => idstr.endsWith("/vfio")).map(({ phase }) => phase),
    };
  } finally {
    attempt.end(completed);
    if (!completed) kernel.resume();
  }
}

/** What a device holds, for comparison. */
export function contents({ function: own }: VfioPciOffer<ModelDriver>) {
  const { driver, interrupts } = own;
  return {
    jobs: driver.jobs,
    checksum: driver.checksum,
    memory: Buffer.from(driver.memory()).toString("base64"),
    config: Buffer.from(own.config.copy()).toString("hex"),
    table: Buffer.from(interrupts.table).toString("hex"),
  };
}

/** Every way in which configuration space can travel. */
export const modes: readonly {
  readonly name: string;
  readonly dialect: VfioDialect;
  readonly configOrder: ConfigOrder;
}[] = [
  { name: "merged", dialect: "merged", configOrder: "not-needed" },
  { name: "proposal, needed", dialect: "proposal", configOrder: "needed" },
  { name: "proposal, not needed", dialect: "proposal", configOrder: "not-needed" },
  { name: "proposal, filter", dialect: "proposal", configOrder: "filter" },
];
