// Verb by kind of stream: the test that shows it, or why there is none to show.

/** Kinds of what a verb may be given, with the files of the manifest that are of it. */
export const kinds = {
  "bare machines (q35, i440fx, KVM)": /^(q35|i440fx)-bare-(10|7|kvm)/,
  "Linux with virtio on PCI": /^(q35-vtd|q35-retarget|i440fx-(legacy|transitional))/,
  "without a vmdesc": /-novmdesc-/,
  pseries: /^pseries-/,
  s390x: /^s390-/,
  "plain pre-copy of the tiny guest": /^tiny-precopy/,
  XBZRLE: /-xbzrle-/,
  "compressed pages": /-compress-/,
  "multifd (main and channels)": /-multifd-/,
  "mapped-ram": /-mappedram-/,
  "post-copy": /-postcopy-.*stream$/,
  ".zst, .gz, pipes": undefined,
  "libvirt's save file": undefined,
  "a machine of a third party": undefined,
  "a checkpoint file": undefined,
  "dumps of -dump-vmstate": undefined,
  "broken, or no stream": undefined,
} as const;

export type Kind = keyof typeof kinds;

/** A test by its file and title, as they stand in the source; or why the cell is empty. */
export type Cell = readonly [file: string, title: string] | { readonly not: string };

const cli = (file: string, title: string): Cell => [`apps/cli/test/${file}.test.ts`, title];
const live = (file: string, title: string): Cell => [`apps/interop/test/live-${file}.test.ts`, title];
const not = (reason: string): Cell => ({ not: reason });

/** Every kind that the manifest has files of. */
const real = Object.entries(kinds).flatMap(([kind, of]) => (of === undefined ? [] : [kind as Kind]));
const each = (cell: Cell): Partial<Record<Kind, Cell>> => Object.fromEntries(real.map((kind) => [kind, cell]));

const packed: Cell = ["scripts/packed-cli/packed-cli.ts", `"a.stream", ...plugin`];
const dumpsOnly = not("takes dumps; a stream goes with --vmdesc");
const streamsOnly = not("takes streams; dumps are what `check` compares");
const opened = cli("input", "is opened, of a big-endian host: %s");
const wrapped = cli("wrapped-inputs", "%s of one is as of the stream in it");
const own = not("its descriptions come by --plugin, as for `inspect`; the bytes are QEMU's form");
const destination = not("is no destination's listening address");

export const cells: Readonly<Record<string, Readonly<Partial<Record<Kind, Cell>>>>> = {
  inspect: {
    ...each(cli("inspect-streams", "$file.raw: as the manifest lists it, and no different from itself")),
    ".zst, .gz, pipes": cli("inspect", "says the same of a pipe that brings %i bytes at a time"),
    "libvirt's save file": opened,
    "a machine of a third party": packed,
    "a checkpoint file": cli("checkpoint-input", "is read by verbs as the stream that it holds"),
    "dumps of -dump-vmstate": cli("input", "%s is told by name"),
    "broken, or no stream": cli("inspect", "shows what came before a fault, and the fault"),
  },
  verify: {
    ...each(cli("verify", "%s is written again as it was")),
    ".zst, .gz, pipes": cli("verify", "says the same of a pipe, and without --json"),
    "libvirt's save file": wrapped,
    "a machine of a third party": packed,
    "a checkpoint file": wrapped,
    "dumps of -dump-vmstate": cli("verify-against", "tells what QEMU 7.2 refuses of a machine of 10.0"),
    "broken, or no stream": cli("bad-input", "is refused with the place, wherever it was cut"),
  },
  extract: {
    ...each(cli("extract", "$name: its blocks as the manifest lists them, one device, its vmdesc")),
    ".zst, .gz, pipes": cli("extract", "from a pipe, where nothing can be sought"),
    "libvirt's save file": wrapped,
    "a machine of a third party": cli(
      "extract",
      "a device by its description: values as a tree, 64-bit integers as strings, bytes as base64",
    ),
    "a checkpoint file": wrapped,
    "dumps of -dump-vmstate": streamsOnly,
    "broken, or no stream": cli("extract", "a stream that is cut, or bad in the middle, leaves nothing"),
  },
  diff: {
    ...each(cli("inspect-streams", "$file.raw: as the manifest lists it, and no different from itself")),
    ".zst, .gz, pipes": cli(
      "diff",
      "compares streams without a vmdesc by a given one, and takes one of the two from a pipe",
    ),
    "libvirt's save file": wrapped,
    "a machine of a third party": packed,
    "a checkpoint file": wrapped,
    "dumps of -dump-vmstate": streamsOnly,
    "broken, or no stream": cli("diff", "says which of the two is faulty"),
  },
  edit: {
    ...each(cli("edit-identity", "%s: every section set to what it is, the same bytes")),
    ".zst, .gz, pipes": cli(
      "edit-identity",
      "from a pipe, through what is kept on the way, it is the same; nothing of that stays",
    ),
    "libvirt's save file": wrapped,
    "a machine of a third party": own,
    "a checkpoint file": wrapped,
    "dumps of -dump-vmstate": streamsOnly,
    "broken, or no stream": cli("edit-refusals", "a truncated stream, from a file and from a pipe"),
  },
  "edit --retarget": {
    ...each(not("not tried for this kind: RAM's encoding is copied as it is, which `edit` shows")),
    "bare machines (q35, i440fx, KVM)": live(
      "retarget",
      "a bare machine loads when its name and one command are mended, and not before",
    ),
    "Linux with virtio on PCI": live(
      "retarget",
      "a Linux guest goes on counting, with the devices that the planner names",
    ),
    pseries: not("not tried: the streams at hand and the QEMU here are both of 7.2"),
    s390x: live("retarget", "a subsection that 7.2 does not know is lost by force alone, and then it loads"),
    "mapped-ram": cli("retarget-plan", "refuses a mapped-ram file, and says what makes a stream of it"),
    ".zst, .gz, pipes": wrapped,
    "libvirt's save file": wrapped,
    "a machine of a third party": not("has no dump of QEMU's"),
    "a checkpoint file": wrapped,
    "dumps of -dump-vmstate": cli("retarget-sections", "what a dump lacks is dropped, with each value of it"),
    "broken, or no stream": cli("edit-refusals", "a truncated stream, from a file and from a pipe"),
  },
  convert: {
    ...each(cli("convert", "%s: each page once, whole or zero; devices and vmdesc as they were; again, the same")),
    pseries: cli(
      "convert",
      "other iterables in their places, and the vmdesc's own bytes, of which a parser would lose some",
    ),
    "without a vmdesc": not("RAM is converted as any; its devices need --vmdesc, as those of post-copy do"),
    XBZRLE: live("convert", "%s as whole pages: no capability is asked for"),
    "compressed pages": live("convert", "%s as whole pages: no capability is asked for"),
    "multifd (main and channels)": live("convert", "main and channels of multifd as one stream"),
    "mapped-ram": cli("convert", "QEMU's file, made a stream and made a file again, is that file byte for byte"),
    "post-copy": live("convert", "a post-copy stream as one that a file can hold"),
    ".zst, .gz, pipes": cli("convert", "into a pipe, out of one, in pieces that do not grow with RAM"),
    "libvirt's save file": wrapped,
    "a machine of a third party": own,
    "a checkpoint file": cli("convert", "a stream and a mapped-ram file, kept and taken out again, are what they were"),
    "dumps of -dump-vmstate": streamsOnly,
    "broken, or no stream": cli("convert", "a stream that is cut, and leaves nothing"),
  },
  record: {
    ...each(cli("checkpoint-record", "comes back byte for byte: $raw")),
    "Linux with virtio on PCI": live(
      "record",
      "with Linux and a return path is told that it was taken, and its destination says so",
    ),
    "plain pre-copy of the tiny guest": live(
      "record",
      "is recorded over tcp and unix, each time by its changed pages; its guest goes on from each",
    ),
    "multifd (main and channels)": live("record", "that sends by several channels is refused"),
    "post-copy": not("a destination that records runs no guest: it does not offer post-copy"),
    ".zst, .gz, pipes": destination,
    "libvirt's save file": destination,
    "a machine of a third party": cli("record", "keeps what a source sends, over unix and tcp, and tells it"),
    "a checkpoint file": cli("checkpoint-record", "keeps of a further recording only the pages that are new"),
    "dumps of -dump-vmstate": streamsOnly,
    "broken, or no stream": cli(
      "record",
      "ends with 1 and leaves nothing when the stream is cut, none, or comes by several connections",
    ),
  },
  replay: {
    ...each(not("takes checkpoint files; `convert` makes one of any stream")),
    "plain pre-copy of the tiny guest": live(
      "record",
      "is recorded over tcp and unix, each time by its changed pages; its guest goes on from each",
    ),
    "Linux with virtio on PCI": live(
      "record",
      "with Linux and a return path is told that it was taken, and its destination says so",
    ),
    ".zst, .gz, pipes": not("takes checkpoint files; `convert` makes one of any stream"),
    "libvirt's save file": not("takes checkpoint files; `convert` makes one of any stream"),
    "a machine of a third party": not("takes checkpoint files; `convert` makes one of any stream"),
    "a checkpoint file": cli("record", "sends a recording, by its number or its name, over unix and tcp"),
    "dumps of -dump-vmstate": streamsOnly,
    "broken, or no stream": cli("record", "does not give a damaged recording's end"),
  },
  check: {
    ...each(dumpsOnly),
    "bare machines (q35, i440fx, KVM)": cli(
      "check-streams",
      "q35: with a stream of each, nothing stands in the way from 7.2 to 10.0, as practice says",
    ),
    pseries: cli(
      "check-streams",
      "pseries: the first section that check names is the one for which QEMU refuses the stream",
    ),
    s390x: cli("check-streams", "s390: a stream of 10.0 had the subsection that 7.2 does not know"),
    ".zst, .gz, pipes": cli("check-verb", "reads a compressed dump"),
    "libvirt's save file": dumpsOnly,
    "a machine of a third party": not("compares QEMU's dumps, and our own plugins with their published ones"),
    "a checkpoint file": dumpsOnly,
    "dumps of -dump-vmstate": cli("check-dumps", "%s: nothing against itself"),
    "broken, or no stream": cli("check-verb", "one dump, or a file that is not there, is wrong use"),
  },
  schema: {
    ...each(not("tells of descriptions: one kind of stream is as another")),
    "Linux with virtio on PCI": cli("schema", "VT-d's is what QEMU 10.0 prints of its own, to the last key"),
    pseries: cli("schema", "so are those of pseries, but for what QEMU sizes as structs in memory"),
    ".zst, .gz, pipes": cli("schema", "reads standard input"),
    "libvirt's save file": wrapped,
    "a machine of a third party": cli(
      "schema",
      "by a path: what it describes, and a sentence for what needs parameters",
    ),
    "a checkpoint file": wrapped,
    "dumps of -dump-vmstate": not("writes them"),
    "broken, or no stream": cli("bad-input", "is refused with the place, wherever it was cut"),
  },
};

/** What takes no stream at all. */
export const withoutStreams: Readonly<Record<string, Cell>> = {
  completions: cli("completions", "completes verbs and a verb's options, and files elsewhere"),
};
