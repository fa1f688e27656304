import { createKernel, virtualClock } from "@godwit/core";
import { Uart } from "./uart.ts";

function machine() {
  const kernel = createKernel({
    machineType: "my-machine-1.0",
    clock: virtualClock(() => BigInt(Date.now()) * 1_000_000n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  return { kernel, uart: new Uart(kernel) };
}

const source = machine();
source.uart.fifo = Uint8Array.of(72, 105);
const destination = machine();
const report = await destination.kernel.load(source.kernel.save());
console.log([...destination.uart.fifo], report.loadOrder); // [ 72, 105 ] [ "timer/0", "uart/0" ]
