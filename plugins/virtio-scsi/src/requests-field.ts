// Requests that a disk has taken and not answered, as they travel in its section: a 1 before one that is to be tried
// again, a 2 before one that goes on with the data it has, a 0 behind the last (QEMU: the info "scsi-requests").
import {
  type AnyRecord,
  buffer,
  type CustomItem,
  customField,
  type Field,
  MigrationError,
  range,
  struct,
  u8,
  u32,
  u64,
  vbuffer,
  vmstate,
  when,
} from "@godwit/core";
import { elementBlob, maxChain, packedElementBlob, type VirtqueueElement } from "@godwit/virtio-core";
import { blockCommand } from "./cdb.ts";
import { maxRequestBytes, sectorBytes } from "./constants.ts";
import type { ScsiDiskParameters } from "./disk-state.ts";

export interface CarriedScsiRequest {
  /** The command is to be carried out from its beginning; otherwise it goes on with `data`. */
  retry: boolean;
  /** 16 bytes. */
  cdb: Uint8Array;
  tag: number;
  lun: number;
  /** Request queue of the host adapter, from 0. */
  queue: number;
  element: VirtqueueElement;
  /** Of a command that moves blocks: the first block that is still to be moved, in sectors of 512 bytes. */
  sector: bigint;
  sector_count: number;
  /** Bytes of the buffer that the request has; 0: it has none, as all of virtio-scsi's. */
  buflen: number;
  /** What was read and is not delivered; 0 for others. Bytes. */
  data_len: number;
  /** To be written: `buflen` bytes, or as many as `sector_count` needs, if less. Read: `data_len` bytes. */
  data: Uint8Array;
}

export const cdbBytes = 16;

const retryMarker = 1;
const noRetryMarker = 2;

const command = (record: AnyRecord) => blockCommand(record["cdb"] as Uint8Array);
const moves = (record: AnyRecord) => command(record) !== undefined;
const writes = (record: AnyRecord) => command(record)?.write === true && record["buflen"] > 0;

function requestOf({ queues, packed }: ScsiDiskParameters, retry: boolean): Field<Omit<CarriedScsiRequest, "retry">> {
  // What was read comes with its length, unless the command is to be read again; what is to be written always comes.
  const delivers = (record: AnyRecord) => !retry && command(record)?.write === false && record["buflen"] > 0;
  const none = new Uint8Array(0);
  return struct(
    vmstate({
      name: retry ? "SCSIRequest to retry" : "SCSIRequest",
      version: 0,
      fields: {
        cdb: buffer(cdbBytes),
        tag: u32,
        lun: u32,
        queue: range(u32, 0, queues - 1),
        element: packed ? packedElementBlob : elementBlob,
        sector: when(moves, u64, { absent: 0n }),
        sector_count: when(moves, u32, { absent: 0 }),
        buflen: when(moves, u32, { absent: 0 }),
        data_len: when(delivers, range(u32, 0, maxRequestBytes), { absent: 0 }),
        data: when((record) => writes(record) || delivers(record), dataOf, { absent: none }),
      },
    }),
  ) as unknown as Field<Omit<CarriedScsiRequest, "retry">>;
}

/** Of a buffer for writing, as much comes as the sectors need that are still to be moved. */
const dataBytes = (record: AnyRecord): number =>
  command(record)?.write === true
    ? Math.min(record["buflen"], record["sector_count"] * sectorBytes)
    : record["data_len"];
const dataOf = vbuffer(dataBytes, { max: maxRequestBytes });

interface Steps {
  requests: CarriedScsiRequest[];
  expected: "marker" | "request" | "end";
  retry: boolean;
}

const marker = range(u8, 0, noRetryMarker);

export function scsiRequests(parameters: ScsiDiskParameters): Field<CarriedScsiRequest[]> {
  const retried = requestOf(parameters, true);
  const continued = requestOf(parameters, false);
  const fieldOf = (retry: boolean) => (retry ? retried : continued);
  const most = parameters.queues * maxChain;
  return customField<CarriedScsiRequest[], Steps>({
    kind: "scsi-requests",
    begin: () => ({ requests: [], expected: "marker", retry: false }),
    next: ({ expected, retry }) => (expected === "end" ? undefined : expected === "marker" ? marker : fieldOf(retry)),
    take(steps, value) {
      if (steps.expected === "request") {
        steps.requests.push({ retry: steps.retry, ...(value as Omit<CarriedScsiRequest, "retry">) });
        steps.expected = "marker";
        return;
      }
      if (value === 0) {
        steps.expected = "end";
        return;
      }
      if (steps.requests.length >= most) {
        throw new MigrationError("COUNT_BOUND", "more requests in flight than the queues can hold", {
          expected: `at most ${most}`,
        });
      }
      steps.expected = "request";
      steps.retry = value === retryMarker;
    },
    end: ({ requests }) => requests,
    segment: ({ requests }) => `[${requests.length}]`,
    *encode(requests): Iterable<CustomItem> {
      for (const [index, { retry, ...request }] of requests.entries()) {
        yield { field: marker, value: retry ? retryMarker : noRetryMarker };
        yield { field: fieldOf(retry), value: request, segment: `[${index}]` };
      }
      yield { field: marker, value: 0 };
    },
    map: (requests, each) =>
      requests.map(({ retry, ...request }) => ({
        retry,
        ...(each(fieldOf(retry), request) as Omit<CarriedScsiRequest, "retry">),
      })),
  });
}
