// A real stream taken apart, so that what changes generated streams changes it as well.
import {
  type Phase,
  type ReaderOptions,
  type StreamEvent,
  StreamReader,
  sectionKey,
  type Vmdesc,
  type VmdescDevice,
} from "@godwit/core/stream";
import type { SectionPart } from "./section.ts";
import { type StreamParts, type TestStream, writeStream } from "./stream.ts";

type Part = StreamParts["body"][number];
const footerBytes = 5;

/**
 * The parts of a stream whose undescribed sections can be delimited: by its vmdesc, as those that `kernel.save` writes, or
 * because what QEMU sends there is known. Written again it has the same sections byte for byte; its vmdesc is put together
 * of the same members, as QEMU and core write it. Commands stay as they are. For what nothing delimits (RAM of other
 * makers) there is `footerScan`, or the means of a `StreamReader`. Errors: those of `StreamReader`.
 */
export function streamOf(bytes: Uint8Array, options: Partial<ReaderOptions> = {}): TestStream {
  const reader = new StreamReader({ open: () => undefined, ...options });
  const events = [...reader.push(bytes), ...reader.end()];
  const described = events.find((event) => event.type === "vmdesc");
  const devices = [...(described?.vmdesc.devices ?? [])];
  const own = events.find((event) => event.type === "configuration");
  const body: Part[] = [];
  for (const [i, event] of events.entries()) {
    if (event.type === "section") body.push(sectionOf(bytes, event, devices));
    else if (event.type === "command") body.push({ type: "raw", bytes: commandBytes(bytes, event, events[i + 1]) });
  }
  return writeStream({
    configuration: own && {
      body: bytes.slice(own.offset + 1, own.offset + own.bytes),
      members: described?.vmdesc.configuration,
    },
    body,
    vmdesc: described && vmdescOf(described.vmdesc),
  });
}

function vmdescOf({ page_size, godwit }: Vmdesc): NonNullable<StreamParts["vmdesc"]> {
  return { pageBytes: page_size, godwit };
}

type SectionEvent = Extract<StreamEvent, { type: "section" }>;
type CommandEvent = Extract<StreamEvent, { type: "command" }>;

/** Takes its description out of `devices`, so that of two sections with one name each has its own. */
function sectionOf(bytes: Uint8Array, event: SectionEvent, devices: VmdescDevice[]): SectionPart {
  const { head, phase, offset, bodyBytes } = event;
  const headBytes = isNamed(phase) ? 1 + 4 + 1 + (bytes[offset + 5] as number) + 8 : 1 + 4;
  const bodyOffset = offset + headBytes;
  const at = devices.findIndex(
    (one) => phase === "full" && sectionKey({ idstr: one.name, instance: one.instance_id }) === sectionKey(head),
  );
  const { idstr, instance, version, sectionId } = head;
  return {
    ...{ type: "section", idstr, instance, version, sectionId, phase },
    body: bytes.slice(bodyOffset, bodyOffset + bodyBytes),
    footer: event.bytes - headBytes - bodyBytes === footerBytes,
    device: at < 0 ? undefined : devices.splice(at, 1)[0],
  };
}

function isNamed(phase: Phase): boolean {
  return phase === "full" || phase === "start";
}

function commandBytes(bytes: Uint8Array, { offset, payload }: CommandEvent, next: StreamEvent | undefined): Uint8Array {
  const end = next !== undefined && "offset" in next ? next.offset : offset + 5 + payload.length;
  return bytes.slice(offset, end);
}
