// Numbers of the virtio console device (virtio 1.2, section 5.3).

/** The section, and the kind of virtio device that it is of. QEMU's virtio-serial is this section, too. */
export const section = { name: "virtio-console", version: 3, minimumVersion: 3, deviceId: 3 } as const;

/** Feature bits as masks. */
export const consoleFeature = { SIZE: 1n << 0n, MULTIPORT: 1n << 1n, EMERG_WRITE: 1n << 2n } as const;

/** Events of control messages. */
export const controlEvent = {
  DEVICE_READY: 0,
  PORT_ADD: 1,
  PORT_REMOVE: 2,
  PORT_READY: 3,
  CONSOLE_PORT: 4,
  RESIZE: 5,
  PORT_OPEN: 6,
  PORT_NAME: 7,
} as const;

/** What 1,024 queues have room for, two a port and two for control. */
export const mostPorts = 511;
/** Entries of QEMU's rings. */
export const portRingSize = 128;
export const controlRingSize = 32;

export const controlQueue = { in: 2, out: 3 } as const;

/** The queue that brings a port's bytes to the driver; the one behind it takes the driver's (section 5.3.2). */
export function receiveQueueOf(port: number): number {
  return port === 0 ? 0 : 2 * (port + 1);
}
