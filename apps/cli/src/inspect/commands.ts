// What the commands of a stream say. Source: wire reference 9.1.
import type { Command } from "../model/read-stream.ts";
import type { InspectedCommand } from "./inspection.ts";

export function inspectedCommand({ command, name, offset, payload }: Command): InspectedCommand {
  return { offset, command, name, detail: detailOf(name, payload), payloadBytes: payload.length };
}

function detailOf(name: string, payload: Uint8Array): string {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (name === "PING") return String(view.getUint32(0));
  if (name === "PACKAGED") return `${view.getUint32(0)} bytes of sections and commands follow`;
  if (name === "POSTCOPY_ADVISE" && payload.length === 16) {
    return `page sizes 0x${view.getBigUint64(0).toString(16)}, target page ${view.getBigUint64(8)}`;
  }
  if (name === "POSTCOPY_RAM_DISCARD" && payload.length >= 3) {
    const end = 2 + (payload[1] as number);
    return `${text(payload.subarray(2, end))}, ranges: ${Math.max(0, Math.floor((payload.length - end - 1) / 16))}`;
  }
  return name === "RECV_BITMAP" ? text(payload.subarray(1)) : "";
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
