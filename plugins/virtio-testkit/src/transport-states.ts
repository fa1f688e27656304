// What ties a transport's fields in a state: what of a function or subchannel is its own, what a guest may change, and
// what follows from what.
import type { VirtioCcwConfigState } from "@godwit/virtio-ccw";
import { noVector } from "@godwit/virtio-core";
import type { PciFunction, VirtioPciConfigState } from "@godwit/virtio-pci";

/** The transport's part of a state that was generated, as a device may have it. */
export interface FittedTransport<C> {
  readonly config: C;
  /** The device reaches memory: its rings are looked at. */
  readonly reachesMemory: boolean;
}

export interface TransportFit<C> {
  fit(config: C, isr: number, queues: number): FittedTransport<C>;
  /** Vectors that there are. */
  vectors(queues: number): number;
}

const command = { at: 4, busMaster: 4 } as const;
const windowBytes = 4;

/** Bits of configuration space that a guest may write, found as a guest would: by ones and by zeros. */
export function writableBits(pci: PciFunction, bytes: number): Uint8Array {
  const bits = new Uint8Array(bytes);
  const window = windowOf(pci);
  for (let at = 0; at < bits.length; at++) {
    if (at >= window && at < window + windowBytes) continue;
    const before = pci.configRead(at, 1);
    pci.configWrite(at, 1, 0xff);
    const ones = pci.configRead(at, 1);
    pci.configWrite(at, 1, 0);
    bits[at] = ones & ~pci.configRead(at, 1);
    pci.configWrite(at, 1, before);
  }
  return bits;
}

/** A window into a BAR (virtio 1.2, section 4.1.4.9): what is written there goes on to the BAR. */
function windowOf(pci: PciFunction): number {
  for (let at = pci.configRead(0x34, 1); at !== 0; at = pci.configRead(at + 1, 1)) {
    if (pci.configRead(at, 1) === 9 && pci.configRead(at + 3, 1) === 5) return at + 16;
  }
  // A legacy function has none.
  return Number.POSITIVE_INFINITY;
}

function msixOf(config: Uint8Array): number | undefined {
  let at = config[0x34] as number;
  while (at !== 0 && config[at] !== 0x11) at = config[at + 1] as number;
  return at === 0 ? undefined : at;
}

export function pciTransportOf(own: VirtioPciConfigState, writable: Uint8Array): TransportFit<VirtioPciConfigState> {
  const vectors = own.msix_table.length / 16;
  const msix = msixOf(own.pci_dev.config);
  return {
    vectors: () => vectors,
    fit(found, isr, queues) {
      const config = own.pci_dev.config.map((byte, at) => {
        const bits = writable[at] ?? 0;
        return (byte & ~bits) | ((found.pci_dev.config[at] as number) & bits);
      });
      const isMsix = msix !== undefined && ((config[msix + 3] as number) & 0x80) !== 0;
      // The line follows from the interrupt status, which is looked at after each queue.
      const level = queues === 0 ? (found.pci_dev.irq_state[0] as number) : !isMsix && isr !== 0 ? 1 : 0;
      const { config_vector } = found;
      return {
        reachesMemory: ((config[command.at] as number) & command.busMaster) !== 0,
        config: {
          ...found,
          pci_dev: { version_id: 2, config, irq_state: Uint32Array.of(level, 0, 0, 0) },
          config_vector: vectorOf(config_vector, vectors),
        },
      };
    },
  };
}

export function ccwTransportOf(own: VirtioCcwConfigState): TransportFit<VirtioCcwConfigState> {
  const { sch } = own.parent_obj;
  return {
    vectors: (queues) => queues,
    fit(found) {
      const one = found.parent_obj.sch;
      const { cssid, ssid, devno } = sch;
      const { pmcw } = one.curr_status;
      const { cu_type, cu_model } = sch.id;
      const isAdapter = one.thinint_active;
      const length = (len: number, low: number, high: number) => low + (Math.abs(len) % (high - low + 1));
      return {
        reachesMemory: true,
        config: {
          ...found,
          parent_obj: {
            sch: {
              ...one,
              ...{ cssid, ssid, devno },
              curr_status: { ...one.curr_status, pmcw: { ...pmcw, devno } },
              id: { ...one.id, cu_type, cu_model },
            },
          },
          indicators: {
            ...found.indicators,
            len: isAdapter ? length(found.indicators.len, 1, 4096) : length(found.indicators.len, 0, 8),
          },
          indicators2: { ...found.indicators2, len: length(found.indicators2.len, 0, 8) },
          summary_indicator: {
            ...found.summary_indicator,
            len: length(found.summary_indicator.len, isAdapter ? 1 : 0, 1),
          },
          config_vector: found.config_vector % 2 === 0 ? 1024 : noVector,
          thinint_isc: found.thinint_isc & 7,
          revision: ([-1, 1, 2] as const)[length(found.revision, 0, 2)] ?? -1,
        },
      };
    },
  };
}

/** A transport whose own fields are tied to nothing. */
export const plainTransport: TransportFit<unknown> = {
  vectors: () => noVector,
  fit: (config) => ({ config, reachesMemory: true }),
};

/** One that there is, or none. */
export function vectorOf(found: number, vectors: number): number {
  const index = found % (vectors + 1);
  return index === vectors ? noVector : index;
}
