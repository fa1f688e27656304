import { decodeState, encodeState, recordDecoder, toState, decodeRecord, type BodyDecoder } from "@godwit/core";
import { findVmdesc, StreamReader } from "@godwit/core/stream";
import { readStream } from "@godwit/testkit/streams";
import { translator, vtd, type VtdState } from "@godwit/iommu-vtd";
import { ramWalker, type RamSection } from "@godwit/ram-dirty-tracker";
import { readRing, ringOf, ringRules } from "@godwit/virtio-core";
import { it } from "vitest";
import { virtioNetPciFamily } from "../src/index.ts";
import { virtioBlkPciFamily } from "../../virtio-blk/src/index.ts";

it("x", () => {
  for (const raw of ["q35-vtd-virtio-7.2.stream", "q35-vtd-virtio-10.0.stream", "q35-retarget-10.0.stream"]) {
    const bytes = readStream(raw);
    const ram = new Uint8Array(96 << 20);
    const walker = ramWalker({
      page: (b, o, p) => b.idstr === "pc.ram" && ram.set(p, o),
      onRecord: (r) => r.kind === "zero" && r.block.idstr === "pc.ram" && ram.fill(r.fill, r.offset, r.offset + 4096),
    });
    const reader = new StreamReader({
      vmdesc: findVmdesc(bytes.subarray(bytes.length - (1 << 20)))?.vmdesc,
      open: (h, phase, prev) => h.idstr === "ram" ? walker.decoder(phase as never, prev as RamSection) : h.idstr === "iommu-intel" ? recordDecoder(vtd, h.version) : undefined,
    });
    const events = [...reader.push(bytes), ...reader.end()];
    const get = (id: string) => (events.find((e) => e.type === "section" && e.head.idstr === id) as { value: unknown }).value;
    const state = toState(vtd, get("iommu-intel") as Record<string, unknown>) as VtdState;
    const tr = translator(state, { read: (a: number, l: number) => ram.subarray(a, a + l) } as never);
    console.log(raw, "root", state.root.toString(16), state.dmar_enabled);
    for (const [bdf, id, fam] of [["00:01.0", "0000:00:01.0/virtio-net", virtioNetPciFamily], ["00:02.0", "0000:00:02.0/virtio-blk", virtioBlkPciFamily]] as const) {
      const body = get(id) as Uint8Array;
      const p = (fam as typeof virtioNetPciFamily).infer({ idstr: id, instance: 0, version: id.endsWith("blk") ? 2 : 11, bytes: body });
      const d = (fam as typeof virtioNetPciFamily).build(p);
      const s = toState(d, decodeRecord(d, body));
      const mem = { read(a: number, l: number) { const out = new Uint8Array(l); let n = 0; while (n < l) { const t = tr.translate(bdf, a + n, false); const k = Math.min(l - n, t.pageBytes - ((a + n) % t.pageBytes)); out.set(ram.subarray(t.gpa, t.gpa + k), n); n += k; } return out; } };
      s.vqs.forEach((q, i) => {
        const ring = ringOf(s as never, i);
        if (!ring) return;
        const c = readRing(mem, ring, ringRules(s as never));
        console.log(id, i, "desc", ring.desc.toString(16), "->", tr.translate(bdf, Number(ring.desc), false), "avail", c.availIdx, "used", c.usedIdx, "last", q.last_avail_idx, "flags", c.availFlags, c.usedFlags, "events", c.usedEvent, c.availEvent, [...c.availRing.slice(0, 20)].join(), JSON.stringify(c.usedRing.slice(0, 5)), JSON.stringify(c.usedRing.slice(-2)));
        for (let j = 0; j < 4; j++) { const b = mem.read(Number(ring.desc) + 16 * j, 16); const v = new DataView(b.buffer); let t; try { t = tr.translate(bdf, Number(v.getBigUint64(0, true)), false).gpa.toString(16); } catch (e) { t = String(e).slice(0, 120); } console.log(j, v.getBigUint64(0, true).toString(16), v.getUint32(8, true), v.getUint16(12, true), v.getUint16(14, true), t); }
      });
    }
  }
});
