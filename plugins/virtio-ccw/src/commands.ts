// The channel commands of virtio-ccw (virtio 1.2, section 4.3), and the two of every device: SENSE and SENSE ID.
import { encodeState } from "@godwit/core";
import { feature, legacyRing, type TransportedDevice } from "@godwit/virtio-core";
import type { CommandResult, ExecuteCommand } from "./channel-program.ts";
import { command, noRevision, ringAlign } from "./constants.ts";
import { type SubchannelState, senseId } from "./descriptions.ts";
import type { Indicators } from "./indicators.ts";
import type { Transfer } from "./transfer.ts";

/** What the commands work on. */
export interface CommandHost {
  readonly device: TransportedDevice;
  readonly sch: SubchannelState;
  readonly indicators: Indicators;
  /** The revision that the driver has set; -1: none yet. */
  revision: number;
  readonly maxRevision: number;
  readonly transitional: boolean;
}

export function virtioCommands(host: CommandHost): ExecuteCommand {
  return (code, data) => {
    const general = architected[code];
    if (general !== undefined) return general(host, data);
    if (host.revision === noRevision) {
      // A legacy driver has not heard of revisions, and begins with something else.
      if (!host.transitional) return "reject";
      host.revision = 0;
    }
    return commands[code]?.(host, data) ?? "reject";
  };
}

type Command = (host: CommandHost, data: Transfer) => CommandResult;

/** Known before there is a revision. */
const architected: Readonly<Record<number, Command>> = {
  [command.setRevision]: setRevision,
  [command.noOperation]: noData,
  [command.sense]({ sch }, data) {
    const given = giveAll(data, sch.sense_data);
    sch.sense_data.fill(0);
    return given;
  },
  [command.senseId]: ({ sch }, data) => giveAll(data, encodeState(senseId, sch.id)),
};

const commands: Readonly<Record<number, Command>> = {
  [command.setQueue]: (host, data) => (host.revision === 0 ? setLegacyQueue(host, data) : setQueue(host, data)),
  [command.reset](host, data) {
    host.device.reset();
    return noData(host, data);
  },
  [command.readFeatures]: readFeatures,
  [command.writeFeatures]: writeFeatures,
  [command.readConfig]: ({ device }, data) => give(data, device.readConfig(0, device.configLength)),
  [command.writeConfig]({ device }, data) {
    const bytes = data.read(0, Math.min(data.count, device.configLength));
    device.writeConfig(0, bytes);
    return { transferred: bytes.length };
  },
  [command.readStatus]: ({ device, revision }, data) =>
    revision < 2 ? "reject" : give(data, Uint8Array.of(device.status)),
  [command.writeStatus]: (host, data) => take(data, 1, (view) => writeStatus(host.device, view.getUint8(0))),
  [command.readQueueConfig]: ({ device }, data) =>
    take(data, 4, (view) => {
      const size = device.ringSize(view.getUint16(0));
      data.write(2, Uint8Array.of(size >> 8, size & 0xff));
    }),
  [command.setIndicators]: ({ indicators }, data) =>
    take(data, 8, (view) => indicators.setClassic(view.getBigUint64(0))),
  [command.setConfigIndicators]: ({ indicators }, data) =>
    take(data, 8, (view) => indicators.setConfig(view.getBigUint64(0))),
  [command.setAdapterIndicators]: (host, data) =>
    take(data, 25, (view) =>
      host.revision < 1
        ? "reject"
        : host.indicators.setAdapter({
            summary: view.getBigUint64(0),
            indicator: view.getBigUint64(8),
            bit: view.getBigUint64(16),
            isc: view.getUint8(24),
          }),
    ),
};

/** The device has `bytes` to give: no more than what is asked for. */
function give(data: Transfer, bytes: Uint8Array): CommandResult {
  const given = bytes.subarray(0, data.count);
  data.write(0, given);
  return { transferred: given.length };
}

/** The same, of a device that says when it has more. */
function giveAll(data: Transfer, bytes: Uint8Array): CommandResult {
  const { length } = bytes.subarray(0, data.count);
  data.write(0, bytes.subarray(0, length));
  return { transferred: length, hadMore: bytes.length > length };
}

/** A count that comes with such a command means nothing. */
function noData(_: CommandHost, { count }: Transfer): CommandResult {
  return { transferred: count };
}

/** The device needs `length` bytes, and takes no more. */
function take(data: Transfer, length: number, use: (view: DataView) => undefined | "reject"): CommandResult {
  if (data.count < length) return "short";
  const bytes = data.read(0, length);
  return use(new DataView(bytes.buffer, bytes.byteOffset, length)) ?? { transferred: length };
}

/** Once, between enabling of the subchannel and its disabling (virtio 1.2, section 4.3.2.1). */
function setRevision(host: CommandHost, data: Transfer): CommandResult {
  return take(data, 4, (view) => {
    const revision = view.getUint16(0);
    const oldest = host.transitional ? 0 : 1;
    if (host.revision !== noRevision || revision < oldest || revision > host.maxRevision) return "reject";
    host.revision = revision;
    return undefined;
  });
}

/** Word `index` of the features. Before revision 1 nobody knows of more than one. */
function readFeatures({ device, revision }: CommandHost, data: Transfer): CommandResult {
  if (data.count < 5) return "short";
  const index = data.read(4, 1)[0] as number;
  const known = revision === 0 ? 1 : 2;
  const word = index < known ? Number(BigInt.asUintN(32, device.hostFeatures >> BigInt(32 * index))) : 0;
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, word, true);
  data.write(0, bytes);
  return { transferred: 5 };
}

function writeFeatures({ device, revision }: CommandHost, data: Transfer): CommandResult {
  return take(data, 5, (view) => {
    const [word, index] = [BigInt(view.getUint32(0, true)), view.getUint8(4)];
    // Nothing is offered there, and a driver may say so.
    if (index >= (revision === 0 ? 1 : 2)) return word === 0n ? undefined : "reject";
    const shift = BigInt(32 * index);
    device.setFeatures((device.features & ~(0xffff_ffffn << shift)) | (word << shift));
    return undefined;
  });
}

/** A status that cannot be set is left as it was (virtio 1.2, section 4.3.2.4). */
function writeStatus(device: TransportedDevice, wanted: number): undefined | "reject" {
  const before = device.status;
  device.setStatus(wanted);
  if ((wanted & ~device.status) === 0) return undefined;
  device.setStatus(before);
  return "reject";
}

function setQueue({ device, indicators }: CommandHost, data: Transfer): CommandResult {
  return take(data, 32, (view) => {
    const [index, num] = [view.getUint16(12), view.getUint16(14)];
    const [desc, avail, used] = [view.getBigUint64(0), view.getBigUint64(16), view.getBigUint64(24)];
    if (device.ringSize(index) === 0) return "reject";
    if (desc !== 0n) {
      // A packed ring may have any size (virtio 1.2, section 2.8.10.1).
      if (!device.has(feature.RING_PACKED) && !Number.isInteger(Math.log2(num))) return "reject";
      device.setRingSize(index, num);
      if (device.ringSize(index) !== num) return "reject";
    }
    device.setRings(index, desc, avail, used);
    indicators.setQueue(index, desc !== 0n);
    return undefined;
  });
}

/** A ring of one piece, whose size the device gives (virtio 1.2, section 4.3.2.2.1). */
function setLegacyQueue({ device, indicators }: CommandHost, data: Transfer): CommandResult {
  return take(data, 16, (view) => {
    const [queue, align, index, num] = [
      view.getBigUint64(0),
      view.getUint32(8),
      view.getUint16(12),
      view.getUint16(14),
    ];
    const size = device.ringSize(index);
    if (size === 0 || (queue !== 0n && (align !== ringAlign || num !== size))) return "reject";
    const { avail, used } = legacyRing(queue, size, ringAlign);
    device.setRings(index, queue, queue === 0n ? 0n : avail, queue === 0n ? 0n : used);
    indicators.setQueue(index, queue !== 0n);
    return undefined;
  });
}
