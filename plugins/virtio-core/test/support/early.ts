// Devices and transports that use, while they load, what only the subsections bring.
import type { TransportedDevice, VirtioDevice } from "../../src/index.ts";

type Use = (device: VirtioDevice | TransportedDevice) => unknown;

const element = { index: 0, out: [], in: [] };

/** Each of them too early before the subsections, and fine behind them. */
export const lateUses: Readonly<Record<string, Use>> = {
  "the features": (device) => device.features,
  "a feature from bit 32 on": (device) => device.has(1n << 32n),
  "the byte order": (device) => device.littleEndian,
  "whether it is broken": (device) => device.broken,
  "whether it is disabled": (device) => (device as TransportedDevice).disabled,
  "whether it runs": (device) => device.running,
  "breaking it": (device) => device.fail("why"),
  "configuration space as the driver reads it": (device) => (device as TransportedDevice).readConfig(0, 1),
  "what a queue has in use": ({ queues }) => queues[0]?.inuse,
  "the next chain": ({ queues }) => queues[0]?.pop(),
  "giving a chain back": ({ queues }) => queues[0]?.push(element, 0),
  "an interrupt": ({ queues }) => queues[0]?.notify(),
  "when to be kicked": ({ queues }) => queues[0]?.setNotification(true),
  "a chain's bytes": ({ queues }) => queues[0]?.read(element, 0, 1),
  "a chain's room": ({ queues }) => queues[0]?.write(element, 0, new Uint8Array(1)),
  "a kick": (device) => (device as TransportedDevice).kick(0),
};

/** What is there before the subsections. */
export const earlyUses: Readonly<Record<string, Use>> = {
  "a feature below bit 32": (device) => device.has(1n << 28n),
  "the status": (device) => device.status,
  "what is offered": (device) => device.hostFeatures,
  "a queue's size": ({ queues }) => queues[0]?.size,
  "whether a queue is set up": ({ queues }) => queues[0]?.ready,
};
