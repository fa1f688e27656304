// What the page shows of a stream that a real QEMU saved: its sections, and what its own description says of a device.
import { findVmdesc, StreamReader } from "@godwit/core/stream";
import { valuesByVmdesc } from "@godwit/core/tools";
import { type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";

export interface ShownStream {
  readonly bytes: number;
  readonly machineType: string;
  /** `idstr/instance vVERSION`, and the bytes of its content; an iterable once. */
  readonly sections: readonly { readonly name: string; readonly bytes: number }[];
  /** Records of pages, of empty ones too. */
  readonly pages: number;
  /** Fields whose values are known by the stream's description. */
  readonly fields: number;
  /** The virtual clock's ticks, as the stream's `timer` section says. */
  readonly ticks: string;
}

export function showStream(stream: Uint8Array): ShownStream {
  const vmdesc = findVmdesc(stream)?.vmdesc;
  let pages = 0;
  const walker = ramWalker({
    onRecord: ({ kind }) => {
      if (kind === "page" || kind === "zero") pages++;
    },
  });
  const reader = new StreamReader({
    vmdesc,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? walker.decoder(phase as never, previous as RamSection | undefined) : undefined,
  });
  const sections = new Map<string, number>();
  let [machineType, fields, ticks] = ["", 0, ""];
  for (const event of [...reader.push(stream), ...reader.end()]) {
    if (event.type === "configuration") machineType = event.configuration.machineType;
    if (event.type !== "section") continue;
    const { idstr, instance, version } = event.head;
    const name = `${idstr}/${instance} v${version}`;
    sections.set(name, (sections.get(name) ?? 0) + event.bodyBytes);
    const device = vmdesc?.devices.find((each) => each.name === idstr && each.instance_id === instance);
    if (device === undefined || !(event.value instanceof Uint8Array)) continue;
    const values = valuesByVmdesc(device, event.value);
    fields += values.length;
    if (idstr === "timer") ticks = String(values.find(({ path }) => path === "cpu_ticks_offset")?.value);
  }
  return {
    bytes: stream.length,
    machineType,
    sections: Array.from(sections, ([name, bytes]) => ({ name, bytes })),
    pages,
    fields,
    ticks,
  };
}
