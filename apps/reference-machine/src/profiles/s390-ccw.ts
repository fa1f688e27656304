// s390-ccw: virtio devices on channels, and no IOMMU.
import { directDma } from "@godwit/ram-dirty-tracker";
import { virtioBalloonCcw } from "@godwit/virtio-balloon/ccw";
import { virtioBlkCcw } from "@godwit/virtio-blk/ccw";
import { virtioConsoleCcw } from "@godwit/virtio-console/ccw";
import { virtioNetCcw } from "@godwit/virtio-net/ccw";
import { virtioRngCcw } from "@godwit/virtio-rng/ccw";
import { virtioScsiCcw } from "@godwit/virtio-scsi/ccw";
import { ChannelReports, checkReports, cssDescription } from "../machine/channel-reports.ts";
import { channelIoDescription, checkChannelIo } from "../machine/channel-section.ts";
import { ChannelSubsystem } from "../machine/channel-subsystem.ts";
import type { Platform } from "../machine/platform.ts";
import { CHANNEL_BASE, CHANNEL_BYTES, CHANNEL_IRQ, CHANNEL_REPORT_IRQ } from "../memory-map.ts";
import { discardIn, serialPort, serialPorts } from "./peripherals.ts";
import { type DeviceOptions, type HostSide, macAddress } from "./profile.ts";

export function s390Ccw(on: Platform, options: DeviceOptions): HostSide {
  const { kernel, bus, memory, raise, resets } = on;
  const reports = new ChannelReports(() => raise(CHANNEL_REPORT_IRQ));
  const channels = new ChannelSubsystem({ memory: memory.memory, reports, interrupt: () => raise(CHANNEL_IRQ) });
  kernel.device(cssDescription, {
    save: () => reports.save(),
    check: checkReports,
    load: (state) => reports.load(state),
  });
  kernel.device(channelIoDescription, {
    save: () => channels.save(),
    check: checkChannelIo,
    load: (state) => channels.load(state),
  });

  let schid = 0;
  const at = (busId: string) => ({
    busId,
    schid: schid++,
    dma: directDma(memory),
    ioInterrupt: channels.ioInterrupt.bind(channels),
    adapterInterrupt: channels.adapterInterrupt.bind(channels),
  });
  const disk = kernel.use(virtioBlkCcw({ ...at("fe.0.0001"), backend: options.disk, serial: "godwit-disk" }));
  const network = kernel.use(virtioNetCcw({ ...at("fe.0.0002"), mac: macAddress, send: options.send }));
  const rng = kernel.use(virtioRngCcw({ ...at("fe.0.0003"), backend: options.entropy }));
  const balloon = kernel.use(virtioBalloonCcw({ ...at("fe.0.0004"), discard: discardIn(on) }));
  const console = kernel.use(
    virtioConsoleCcw({ ...at("fe.0.0005"), ports: [serialPort(options)], maxPorts: serialPorts }),
  );
  const scsi = kernel.use(
    virtioScsiCcw({ ...at("fe.0.0006"), disks: [{ backend: options.scsiDisk, serial: "godwit-scsi" }] }),
  );
  for (const device of [disk, network, rng, balloon, console, scsi]) {
    channels.add(device.subchannel);
    resets(device);
  }
  for (const part of [reports, channels]) resets(part);
  bus.add(CHANNEL_BASE, CHANNEL_BYTES, channels);
  const [serial] = console.serial.ports;
  if (serial === undefined) throw new Error("virtio-console has no port");
  return { channels, peripherals: { balloon: balloon.balloon, serial } };
}
