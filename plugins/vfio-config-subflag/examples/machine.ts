import { createKernel, u32, virtualClock, vmstate } from "@godwit/core";
import { modelDriver, vfioContainer, vfioPci } from "@godwit/vfio-config-subflag";

/** A network card behind a vendor driver, in a machine with an interrupt controller. */
export function machine(config: Uint8Array, deliver: (vector: number) => void) {
  const kernel = createKernel({
    machineType: "example-1",
    clock: virtualClock(() => BigInt(Math.round(performance.now() * 1e6))),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const irqchip = { enabled: 1 };
  const routes = new Set<number>();
  kernel.device(vmstate({ name: "irqchip", version: 1, fields: { enabled: u32 } }), {
    save: () => irqchip,
    load: (state) => Object.assign(irqchip, state),
  });
  const nic = kernel.use(
    vfioPci({
      path: "0000:00:05.0", // the section is 0000:00:05.0/vfio
      container: vfioContainer(), // one a machine, for all of its VFIO devices
      dialect: "proposal", // "merged", the default, is the one that QEMU reads
      config: { config, barBytes: { 0: 1024 * 1024 } },
      driver: modelDriver({ memoryBytes: 256 * 1024, configOrder: "needed" }),
      interrupts: {
        attach: (vector) => routes.add(vector), // from here on the controller must be there
        detach: (vector) => routes.delete(vector),
        signal: deliver,
      },
      after: ["irqchip"], // so it is loaded before interrupts are enabled
    }),
  );
  return { kernel, nic, routes };
}

/** Sends a running machine: rounds while it works, the rest while it stands. */
export function* sent({ kernel }: ReturnType<typeof machine>, limitBytes: number): Iterable<Uint8Array> {
  const attempt = kernel.outgoing();
  let completed = false;
  try {
    yield* attempt.setup();
    while (attempt.pending(true).mustPrecopyBytes > limitBytes) yield* attempt.iterate(1024 * 1024);
    kernel.pause();
    yield* attempt.complete();
    completed = true;
  } finally {
    attempt.end(completed);
  }
}
