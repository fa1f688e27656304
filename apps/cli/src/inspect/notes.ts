// Sentences about a stream that its tables do not say.
import type { Inspection } from "./inspection.ts";

export function notesOf(
  inspection: Inspection,
  selection: { readonly sections: readonly string[]; readonly paths: readonly string[] },
): string[] {
  return [...about(inspection), ...aboutSelection(inspection, selection)];
}

function* about({ stream, error, commands, vmdesc, eof, ram, sections, capabilities }: Inspection): Generator<string> {
  if (stream.compression !== "none")
    yield `the file is compressed with ${stream.compression}; offsets are those of the stream in it`;
  if (stream.wrapper !== null) {
    yield `the stream stands behind ${stream.wrapper.headerBytes} bytes of libvirt's own header; offsets count from the stream's first byte`;
  }
  const names = commands.map(({ name }) => name);
  const wentPostcopy = names.includes("POSTCOPY_LISTEN");
  if (wentPostcopy) yield "the migration went on to post-copy: such a stream has no vmdesc";
  else if (names.includes("POSTCOPY_ADVISE") && eof !== null) yield "post-copy was prepared, and did not happen";
  if (eof !== null && vmdesc === null && error === undefined && !wentPostcopy) {
    yield "the stream has no vmdesc: what no plugin describes has no names, and needs --vmdesc to be told apart";
  }
  const elsewhere = (ram?.blocks ?? []).reduce((pages, block) => pages + block.pagesElsewhere, 0);
  if (elsewhere > 0) {
    const why =
      ram?.records.mfflush !== undefined
        ? "multifd sent them over its channels"
        : capabilities.includes("x-ignore-shared")
          ? "shared memory does not travel with x-ignore-shared"
          : "with multifd they went over its channels";
    yield `at least ${elsewhere} pages of RAM are not in this stream: ${why}`;
  }
  for (const { idstr, instance, fault } of sections) {
    if (fault !== undefined)
      yield `${idstr}/${instance}: the description that is meant for it does not fit: ${fault.message} (${fault.code})`;
  }
}

function* aboutSelection(
  { sections }: Inspection,
  selection: { readonly sections: readonly string[]; readonly paths: readonly string[] },
): Generator<string> {
  const asked = [...selection.sections, ...selection.paths];
  if (asked.length > 0 && !sections.some(({ fields }) => fields !== undefined)) {
    yield `nothing is matched by ${asked.map((glob) => `"${glob}"`).join(" and ")}`;
  }
}
