// What a file is that is no migration stream, by its first bytes: people give the disk where they mean the save.

/** A kind of file that is no stream. */
export interface FileKind {
  /** Stable: `qcow2`, `elf-core`, `xz`. */
  readonly kind: string;
  /** `a qcow2 disk image`. */
  readonly name: string;
  /** What to do. */
  readonly hint: string;
  /** The command that unpacks it. */
  readonly unpackBy?: string;
}

/** As many bytes as decide. */
export const kindBytes = 1024;

type Test = (head: Uint8Array) => boolean;

interface Known extends FileKind {
  readonly test: Test;
}

const bytesOf = (pattern: string | readonly number[]): readonly number[] =>
  typeof pattern === "string" ? [...pattern].map((char) => char.charCodeAt(0)) : pattern;

const at =
  (offset: number, pattern: string | readonly number[]): Test =>
  (head) =>
    head.length >= offset + pattern.length && bytesOf(pattern).every((byte, i) => head[offset + i] === byte);

const any =
  (...tests: readonly Test[]): Test =>
  (head) =>
    tests.some((test) => test(head));

const isText: Test = (head) => head.length > 0 && head.every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d));

const textOf = (head: Uint8Array): string => new TextDecoder("latin1").decode(head).trimStart();

const isJson: Test = (head) => isText(head) && /^[[{]/.test(textOf(head));

const disk = "a disk holds no machine's state: save one with the monitor's `migrate file:...`, or with `virsh save`";
const elsewhere = "only QEMU's migration streams are read here";
const packed = "unpack it on the way";

/** Of ELF, both byte orders: the type is ET_CORE. */
const isCore: Test = (head) => at(0, "\x7fELF")(head) && (head[5] === 2 ? head[17] : head[16]) === 4;

const known: readonly Known[] = [
  {
    kind: "qcow2",
    name: "a qcow2 disk image",
    hint: "a snapshot inside it (savevm) has to be loaded by QEMU (-loadvm) and saved again with `migrate file:...`",
    test: at(0, [0x51, 0x46, 0x49, 0xfb]),
  },
  { kind: "vmdk", name: "a VMDK disk image", hint: disk, test: any(at(0, "KDMV"), at(0, "# Disk DescriptorFile")) },
  { kind: "vdi", name: "a VDI disk image", hint: disk, test: at(0x40, [0x7f, 0x10, 0xda, 0xbe]) },
  { kind: "vhd", name: "a VHD disk image", hint: disk, test: any(at(0, "conectix"), at(0, "cxsparse")) },
  { kind: "vhdx", name: "a VHDX disk image", hint: disk, test: at(0, "vhdxfile") },
  { kind: "qed", name: "a QED disk image", hint: disk, test: at(0, "QED\0") },
  { kind: "luks", name: "an encrypted (LUKS) disk", hint: disk, test: at(0, "LUKS\xba\xbe") },
  {
    kind: "elf-core",
    name: "an ELF core: the memory of a guest (dump-guest-memory, `virsh dump --memory-only`) or of a process",
    hint: "it holds memory and processor registers, but no device: save the machine with `migrate file:...` or `virsh save`",
    test: isCore,
  },
  {
    kind: "kdump",
    name: "a kdump dump of a guest's memory (a vmcore)",
    hint: "it holds memory and processor registers, but no device: save the machine with `migrate file:...` or `virsh save`",
    test: any(at(0, "KDUMP   "), at(0, "makedumpfile")),
  },
  { kind: "elf", name: "an ELF program, kernel or library", hint: elsewhere, test: at(0, "\x7fELF") },
  {
    kind: "xz",
    name: "xz-compressed",
    hint: packed,
    unpackBy: "xz -dc",
    test: at(0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
  },
  { kind: "bzip2", name: "bzip2-compressed", hint: packed, unpackBy: "bzip2 -dc", test: at(0, "BZh") },
  {
    kind: "lzop",
    name: "lzop-compressed",
    hint: packed,
    unpackBy: "lzop -dc",
    test: at(0, [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]),
  },
  { kind: "lz4", name: "lz4-compressed", hint: packed, unpackBy: "lz4 -dc", test: at(0, [0x04, 0x22, 0x4d, 0x18]) },
  {
    kind: "lzma",
    name: "lzma-compressed",
    hint: packed,
    unpackBy: "lzma -dc",
    test: at(0, [0x5d, 0x00, 0x00, 0x80, 0x00]),
  },
  {
    kind: "zip",
    name: "a zip archive",
    hint: packed,
    unpackBy: "unzip -p",
    test: any(at(0, "PK\x03\x04"), at(0, "PK\x05\x06")),
  },
  {
    kind: "7z",
    name: "a 7z archive",
    hint: packed,
    unpackBy: "7z e -so",
    test: at(0, [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]),
  },
  {
    kind: "tar",
    name: "a tar archive",
    hint: "take the stream out of it: `tar -xOf ARCHIVE MEMBER | godwit ... -`",
    test: at(257, "ustar"),
  },
  {
    kind: "multifd-channel",
    name: "one channel of a multifd migration",
    hint: "give the file of the main channel, which begins with QEVM; `extract` takes the channels beside it",
    test: at(0, [0x11, 0x22, 0x33, 0x44, 0, 0, 0]),
  },
  {
    kind: "checkpoint",
    name: "a checkpoint file of recordings",
    hint: "give the file itself, unpacked and not through a pipe: it is read by the index at its end",
    test: at(0, [0x89, 0x47, 0x4f, 0x44, 0x57, 0x49, 0x54, 0x0a]),
  },
  {
    kind: "godwit-conversation",
    name: "what two Godwit peers said to each other",
    hint: "record the stream for a file or for QEMU instead (`peer=qemu`)",
    test: at(0, "GDWT"),
  },
  {
    kind: "xen",
    name: "a save of a Xen domain",
    hint: elsewhere,
    test: any(at(0, "LinuxGuestRecord"), at(0, "XenSavedDomain"), at(8, "XENF")),
  },
  {
    kind: "virtualbox",
    name: "a saved state of VirtualBox",
    hint: elsewhere,
    test: at(0, "\x7fVirtualBox SavedState"),
  },
  {
    kind: "vmware",
    name: "a suspended state of VMware",
    hint: elsewhere,
    test: (head) =>
      [0xd0, 0xd1, 0xd2, 0xd3].includes(head[0] ?? 0) && at(1, [0xbe, 0xd2, 0xbe])(head) && head.length > 4,
  },
  {
    kind: "dump-vmstate",
    name: "the JSON of QEMU's -dump-vmstate",
    hint: "it describes a machine and is no stream: `godwit check` compares two of them, `verify --against` takes one",
    test: (head) => isJson(head) && textOf(head).slice(0, 200).includes("vmschkmachine"),
  },
  {
    kind: "vmdesc",
    name: "the JSON description (vmdesc) of a stream, without the stream",
    hint: "give it as --vmdesc beside a stream that has none",
    test: (head) => isJson(head) && /"(page_size|devices|configuration)"\s*:/.test(textOf(head)),
  },
  { kind: "json", name: "JSON", hint: elsewhere, test: isJson },
  {
    kind: "domain-xml",
    name: "a libvirt domain's XML",
    hint: "the save is another file: `virsh save DOMAIN FILE` writes it",
    test: (head) => isText(head) && /^(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?<domain/.test(textOf(head)),
  },
  { kind: "text", name: "text", hint: elsewhere, test: isText },
  {
    kind: "disk",
    name: "a raw disk image (it begins with a boot sector)",
    hint: disk,
    test: any((head) => at(510, [0x55, 0xaa])(head), at(512, "EFI PART")),
  },
  {
    kind: "zeros",
    name: "nothing but zero bytes where it should begin: a raw disk or memory image, or /dev/zero",
    hint: "is it the right file, and was it written at all? A sparse file that no one filled looks so",
    test: (head) => head.length >= 4 && head.every((byte) => byte === 0),
  },
];

/** Undefined for a stream, and for what is not recognised. */
export function kindOf(head: Uint8Array): FileKind | undefined {
  if (startsLikeStream(head)) return undefined;
  const found = known.find(({ test }) => test(head));
  if (found === undefined) return undefined;
  const { test: _, ...kind } = found;
  return kind;
}

const magic = bytesOf("QEVM");

/** Also where less than the magic has come. */
export function startsLikeStream(head: Uint8Array): boolean {
  return magic.every((byte, i) => i >= head.length || head[i] === byte);
}
