// The section "scsi-disk": what a disk behind a SCSI host adapter keeps, and its requests in flight.
import {
  array,
  bool,
  type Description,
  type DescriptionFamily,
  family,
  MigrationError,
  named,
  range,
  type SectionSample,
  type StateOf,
  struct,
  subsection,
  u8,
  u32,
  vmstate,
} from "@godwit/core";
import { decodePrefix } from "@godwit/virtio-core";
import { scsiRequests } from "./requests-field.ts";

/** Sense data, bytes: so many stand in the section, the others in a subsection that is sent where they count. */
export const senseBytes = 252;
const shortSenseBytes = 96;

/** What decides about a disk's section, and is not on it. Plain data. */
export interface ScsiDiskParameters {
  /** Request queues of the host adapter. */
  readonly queues: number;
  /** Whether the host adapter offers packed rings. */
  readonly packed: boolean;
}

const longSense = subsection({
  name: "SCSIDevice/sense",
  version: 1,
  fields: { sense: array(u8, senseBytes - shortSenseBytes) },
  needed: (own, { record }) => record["sense_len"] > shortSenseBytes || own.sense.some((byte) => byte !== 0),
  absent: { sense: new Uint8Array(senseBytes - shortSenseBytes) },
});

/** Any SCSI device's common part (QEMU: vmstate_scsi_device; wire reference 13.8). */
function scsiDevice(parameters: ScsiDiskParameters) {
  return vmstate({
    name: "SCSIDevice",
    version: 1,
    fields: {
      unit_attention_key: named("unit_attention.key", u8),
      unit_attention_asc: named("unit_attention.asc", u8),
      unit_attention_ascq: named("unit_attention.ascq", u8),
      sense_is_ua: bool,
      sense: array(u8, shortSenseBytes),
      sense_len: range(u32, 0, senseBytes),
      requests: scsiRequests(parameters),
    },
    subsections: { longSense },
  });
}

/** A disk of any kind: `scsi-hd`, `scsi-cd`, `scsi-block` (QEMU: vmstate_scsi_disk_state). */
export function scsiDisk(parameters: ScsiDiskParameters) {
  return vmstate({
    name: "scsi-disk",
    version: 1,
    fields: {
      qdev: struct(scsiDevice(parameters)),
      media_changed: bool,
      media_event: bool,
      eject_request: bool,
      tray_open: bool,
      tray_locked: bool,
    },
  });
}

export type ScsiDiskState = StateOf<ReturnType<typeof scsiDisk>>;

/**
 * The sections "scsi-disk" v1 behind a virtio host adapter, for tools. Whether packed rings are offered can only be
 * told where a request is in flight; how many queues there are, not at all: `infer` gives the least that fits.
 */
export const scsiDiskFamily: DescriptionFamily<ScsiDiskParameters, Description<ScsiDiskState>> = family({
  name: "scsi-disk",
  build: (parameters: ScsiDiskParameters) => scsiDisk(parameters),
  infer: inferScsiDisk,
});

function inferScsiDisk(sample: SectionSample): ScsiDiskParameters {
  const queues = 1024;
  const failures: unknown[] = [];
  const fits: ScsiDiskParameters[] = [];
  for (const packed of [false, true]) {
    try {
      const { record, end } = decodePrefix(scsiDisk({ queues, packed }), sample.version, sample.bytes);
      if (end !== sample.bytes.length && sample.bytes[end] !== footerByte) continue;
      const { requests } = record["qdev"] as { requests: readonly { queue: number }[] };
      fits.push({ queues: Math.max(1, ...requests.map(({ queue }) => queue + 1)), packed });
    } catch (error) {
      failures.push(error);
    }
  }
  const [first, second] = fits;
  if (first === undefined) throw failures[0] ?? wrong();
  // Without a request nothing depends on it.
  if (second !== undefined && sample.bytes[requestsAt] !== 0) {
    throw new MigrationError("PARAMETER_AMBIGUOUS", "the disk's requests can be read with and without packed rings", {
      path: "packed",
    });
  }
  return first;
}

const footerByte = 0x7e;
/** Where the list of requests begins. Bytes. */
const requestsAt = 4 + shortSenseBytes + 4;

function wrong(): MigrationError {
  return new MigrationError("PARAMETER_WRONG", "the section does not end where its disk does", { path: "packed" });
}
