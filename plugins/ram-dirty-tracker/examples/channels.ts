import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { type MultifdSender, multifdSender, type PageCompression, zlibCompression } from "@godwit/ram-dirty-tracker";

/** multifd-compression=zlib, by the functions that Bun, Deno and Node have. */
export const zlib: PageCompression = zlibCompression({
  inflateRaw: (data, dictionary, boundBytes) =>
    inflateRawSync(data, { ...(dictionary && { dictionary }), maxOutputLength: boundBytes }),
  deflateRaw: (data, dictionary) =>
    deflateRawSync(data, { ...(dictionary && { dictionary }), level: 1, finishFlush: constants.Z_SYNC_FLUSH }),
});

/** For `ram({ multifd: { send } })`: what a machine of type 8.0 or before writes to these connections. */
export function toChannels(connections: readonly { write(bytes: Uint8Array): void }[]): MultifdSender {
  return multifdSender({
    channels: connections.map((connection) => (bytes: Uint8Array) => connection.write(bytes)),
    sync: "section",
    zeroPages: "records",
    compression: zlib,
  });
}
