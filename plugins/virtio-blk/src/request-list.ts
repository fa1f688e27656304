// The requests that a block device has taken and not answered, as they travel: a 1 before each, a 0 behind the last.
import {
  type CustomItem,
  customField,
  type Field,
  MigrationError,
  range,
  struct,
  u8,
  u32,
  vmstate,
  when,
} from "@godwit/core";
import { elementBlob, maxChain, packedElementBlob, type VirtqueueElement } from "@godwit/virtio-core";

/** A request that was taken from its queue and is to be submitted again. */
export interface CarriedRequest {
  /** Index of the queue; on the wire where the device has more than one. */
  queue: number;
  /** With `ndescs` where packed rings are offered. */
  element: VirtqueueElement;
}

/** What decides about the list's bytes, and is not in them. Plain data. */
export interface RequestListParameters {
  /** Queues that the device has. */
  readonly queues: number;
  /** Whether the device offers packed rings. QEMU then writes a count before each element. */
  readonly packed: boolean;
}

interface Steps {
  requests: CarriedRequest[];
  expected: "marker" | "request" | "end";
}

const marker = range(u8, 0, 1);

/** As many as can be in flight: the longest ring of each queue. */
export function requestList({ queues, packed }: RequestListParameters): Field<CarriedRequest[]> {
  const description = vmstate({
    name: "virtio-blk request",
    version: 0,
    fields: {
      queue: when(() => queues > 1, range(u32, 0, queues - 1), { absent: 0 }),
      element: packed ? packedElementBlob : elementBlob,
    },
  });
  const request = struct(description);
  return customField<CarriedRequest[], Steps>({
    kind: "virtio-blk requests",
    elements: description,
    begin: () => ({ requests: [], expected: "marker" }),
    next: ({ expected }) => (expected === "end" ? undefined : expected === "marker" ? marker : request),
    take: (steps, value) => {
      if (steps.expected === "request") {
        steps.requests.push(value as CarriedRequest);
        steps.expected = "marker";
        return;
      }
      if (value === 1 && steps.requests.length >= queues * maxChain) {
        throw new MigrationError("COUNT_BOUND", "more requests in flight than the queues can hold", {
          expected: `at most ${queues * maxChain}`,
        });
      }
      steps.expected = value === 1 ? "request" : "end";
    },
    end: (steps) => steps.requests,
    segment: (steps) => `[${steps.requests.length}]`,
    *encode(requests): Iterable<CustomItem> {
      for (const [index, value] of requests.entries()) {
        yield { field: marker, value: 1 };
        yield { field: request, value, segment: `[${index}]` };
      }
      yield { field: marker, value: 0 };
    },
    map: (requests, each) => requests.map((one) => each(request, one) as CarriedRequest),
  });
}
