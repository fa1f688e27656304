// `inspect` on every stream that QEMU saved: what it says is what is known of them. And `diff` of each with itself.
import { rmSync } from "node:fs";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import type { Difference } from "../src/diff/difference.ts";
import type { InspectedSection, Inspection } from "../src/inspect/inspection.ts";
import { realStreams, temporaryFile } from "./inspect-support.ts";
import { runCli } from "./run-cli.ts";

/** As the manifest lists them: an iterable once, by its START, with the bytes of all its parts. */
function asListed(sections: readonly InspectedSection[]) {
  return sections
    .filter(({ phase }) => phase === "start" || phase === "full")
    .map(({ idstr, instance, version, phase, sectionId }) => ({
      idstr,
      instance,
      version,
      kind: phase,
      bytes: sections
        .filter((other) => other.sectionId === sectionId)
        .reduce((bytes, { bodyBytes }) => bytes + bodyBytes, 0),
    }));
}

function parts(sections: readonly InspectedSection[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { idstr, phase } of sections) {
    if (phase === "part" || phase === "end") counts[`${idstr}/${phase}`] = (counts[`${idstr}/${phase}`] ?? 0) + 1;
  }
  return counts;
}

const number = (release: string): number => {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return major * 100 + minor;
};

/** Up to here RAM is compared as well: of larger streams that would take a second each. */
const smallBytes = 26_000_000;

describe.skipIf(!haveStreams())("inspect, beside the manifest", () => {
  it.each(haveStreams() ? realStreams() : [])(
    "$file.raw: as the manifest lists it, and no different from itself",
    async ({ of, file, args }) => {
      // Unpacked once: on Node 20 that takes most of the time.
      const path = temporaryFile(file.raw, readStream(file.raw));
      const { code, stdout, stderr } = await runCli(["inspect", path, "--json", ...args]);
      expect(stderr).toBe("");
      expect(code).toBe(0);
      const found = JSON.parse(stdout) as Inspection;
      const { stream } = file;
      expect(found.error).toBeUndefined();
      expect(found.stream).toEqual({
        name: path,
        compression: "none",
        bytes: file.bytes,
        wrapper: null,
        checkpoint: null,
      });
      expect(found.machineType).toBe(stream.config.name);
      expect(found.capabilities).toEqual(stream.capabilities_in_stream);
      expect(asListed(found.sections)).toEqual(stream.sections);
      expect(parts(found.sections)).toEqual(stream.iter_parts);
      expect(found.commands.map(({ command, payloadBytes }) => [command, payloadBytes])).toEqual(stream.commands);
      expect(found.vmdesc === null).toBe(!stream.vmdesc);
      if (stream.vmdesc_bytes !== undefined) expect(found.vmdesc?.bytes).toBe(stream.vmdesc_bytes + 5);
      expect(found.ram?.blocks.map(({ idstr, bytes }) => [idstr, bytes])).toEqual(
        stream.ram_blocks.map(({ idstr, bytes }) => [idstr, bytes]),
      );
      expect(found.ram?.blocks.map(({ mapped }) => mapped)).toEqual(
        stream.ram_blocks.map(({ mapped }) => mapped && { bitmapOffset: mapped.bitmap, pagesOffset: mapped.pages }),
      );
      expect(found.ram?.records).toEqual(stream.ram_records);
      const { from, before } = found.producer;
      const release = number(of.qemu_short);
      if (from !== undefined) expect(number(from)).toBeLessThanOrEqual(release);
      if (before !== undefined) expect(number(before)).toBeGreaterThan(release);
      expect(found.producer.kind).toBe(stream.vmdesc ? "qemu" : "unknown");
      // Whatever multifd did not take along is a page of this stream, and of mapped-ram every page has its place.
      const elsewhere = (found.ram?.blocks ?? []).reduce((pages, block) => pages + block.pagesElsewhere, 0);
      expect(elsewhere > 0).toBe(file.raw.includes("multifd"));
      // The elements follow each other without a gap, from the header to the end.
      const places = [
        ...found.sections,
        ...found.commands.map(({ offset, payloadBytes }) => ({ offset, bytes: 5 + payloadBytes })),
        ...(found.configuration === null ? [] : [found.configuration]),
        ...(found.eof === null ? [] : [{ offset: found.eof.offset, bytes: 1 }]),
        ...(found.vmdesc === null ? [] : [found.vmdesc]),
      ].sort((a, b) => a.offset - b.offset);
      let at = 8;
      for (const { offset, bytes } of places) {
        expect(offset).toBe(at);
        at += bytes;
      }
      expect(at).toBe(file.bytes);
      const isSmall = file.bytes < smallBytes;
      const diff = await runCli(["diff", path, path, "--json", ...args, ...(isSmall ? [] : ["--no-ram"])]);
      const difference = JSON.parse(diff.stdout) as Difference;
      expect(difference).toMatchObject({
        equal: true,
        stream: [],
        sections: { onlyInA: [], onlyInB: [], moved: [], changed: [] },
        ignored: 0,
      });
      if (isSmall) expect(difference.ram).toMatchObject({ onlyInA: [], onlyInB: [], changed: [] });
      else expect(difference.ram).toBeNull();
      expect(diff.code).toBe(0);
      rmSync(path);
    },
  );
});
