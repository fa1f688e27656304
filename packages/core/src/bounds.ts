// The one place that allocates for a stream. What is asked for must be justified by what has arrived.
import { MigrationError } from "./errors.ts";

/** Counts what was allocated on behalf of one stream. Bytes. */
export interface Meter {
  allocatedBytes: number;
}

/** Beyond what arrived: room for headers, and for buffers that grow by doubling. Bytes. */
const slackBytes = 4096;

/**
 * `bytes` zeroed bytes, of which `arrivedBytes` are in hand. Growth may double; more than that is
 * `ALLOCATION_UNJUSTIFIED`, since a length in a stream is a claim and not a fact.
 */
export function allocate(meter: Meter, bytes: number, arrivedBytes: number): Uint8Array {
  if (!(bytes >= 0 && bytes <= 2 * arrivedBytes + slackBytes)) {
    throw new MigrationError("ALLOCATION_UNJUSTIFIED", "the stream asks for more memory than has arrived", {
      expected: `at most ${arrivedBytes} bytes`,
      found: `${bytes} bytes`,
    });
  }
  meter.allocatedBytes += bytes;
  return new Uint8Array(bytes);
}
