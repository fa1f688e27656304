// pseries: PCI without an IOMMU, and connectors by which network cards come while the guest runs.
import { directDma } from "@godwit/ram-dirty-tracker";
import { type ConnectorView, deviceTree, spaprDrc } from "@godwit/spapr-drc-ccs";
import { virtioBlkPci } from "@godwit/virtio-blk/pci";
import { virtioNetPci } from "@godwit/virtio-net/pci";
import { PciBus } from "../machine/pci-bus.ts";
import type { Platform } from "../machine/platform.ts";
import { Rtas } from "../machine/rtas.ts";
import {
  ECAM_BASE,
  ECAM_BYTES,
  HOTPLUG_IRQ,
  PCI_WINDOW_BASE,
  PCI_WINDOW_BYTES,
  RTAS_BASE,
  RTAS_BYTES,
} from "../memory-map.ts";
import { type CardName, cardNames, cards } from "./cards.ts";
import { type DeviceOptions, type HostSide, macAddress } from "./profile.ts";

/** What the host does about cards while the machine runs. */
export interface Hotplug {
  /** Puts the card into its slot and tells the guest. `DEFINITION_INVALID` where the slot is taken. */
  plug(card: CardName): void;
  /**
   * Firmware has so many more tokens of the card's tree ready, and answers "busy" behind them, until it is told otherwise
   * (`undefined`: all). It does not travel.
   */
  ready(card: CardName, tokens: number | undefined): void;
  connector(card: CardName): ConnectorView | undefined;
  /** Events that the guest has not fetched. */
  pendingEvents(): number;
}

export function pseries(on: Platform, options: DeviceOptions): HostSide {
  const { kernel, bus, memory, signalMsi, resets } = on;
  const { present = [], walksTravel = true } = options;
  const pci = new PciBus();
  const devices = { dma: directDma(memory), accessPlatform: false, signalMsi };
  const addNetworkCard = (slot: string, mac: Uint8Array): void => {
    const network = kernel.use(virtioNetPci({ ...devices, slot, mac, send: options.send }));
    pci.add(network.function);
    resets(network);
  };
  const disk = kernel.use(virtioBlkPci({ ...devices, slot: "00:02.0", backend: options.disk, serial: "godwit-disk" }));
  pci.add(disk.function);
  resets(disk);
  addNetworkCard("00:03.0", macAddress);

  const drc = kernel.use(
    spaprDrc({
      memory: memory.memory,
      connectors: cardNames.map((name) => cards[name].connector),
      rtc: { now: () => BigInt(Date.now()) * 1_000_000n },
      ccs: walksTravel,
      signal: () => on.raise(HOTPLUG_IRQ),
    }),
  );
  resets(drc);
  for (const name of present) {
    const { slot, mac, connector, node } = cards[name];
    addNetworkCard(slot, mac);
    drc.attach(connector, deviceTree(node), { cold: true });
  }
  const rtas = new Rtas(memory.memory, drc);

  bus.addOpen(PCI_WINDOW_BASE, PCI_WINDOW_BYTES, {
    read: (offset, size) => pci.memoryRead(offset, size),
    write: (offset, size, value) => pci.memoryWrite(offset, size, value),
  });
  bus.addOpen(ECAM_BASE, ECAM_BYTES, {
    read: (offset, size) => pci.configRead(offset, size),
    write: (offset, size, value) => pci.configWrite(offset, size, value),
  });
  bus.add(RTAS_BASE, RTAS_BYTES, rtas);

  const hotplug: Hotplug = {
    plug(name) {
      const { slot, mac, connector, node } = cards[name];
      addNetworkCard(slot, mac);
      drc.plug(connector, deviceTree(node));
    },
    ready: (name, tokens) => rtas.ready(cards[name].connector, tokens),
    connector: (name) => drc.connector(cards[name].connector),
    pendingEvents: () => drc.pendingEvents().length,
  };
  return { hotplug };
}
