// What probably lies behind an error in a stream, in plain words: by its code, and by what else the error says.
import type { MigrationError } from "@godwit/core";

const damaged = "the file is probably damaged: bytes were changed, lost or added before this place";
const cutOff = "the file is cut off: was the save or the copy interrupted?";
const otherVersion =
  "another release of QEMU than these descriptions know wrote it, or bytes before it are damaged: give --vmdesc or --plugin, or report it with `godwit inspect --redact`";
const ends =
  "the section's length is not what was taken for it: the stream is damaged there, or a description is of another release (--vmdesc, --plugin)";
const guest = "either bytes are damaged, or the guest or device was in a state that no QEMU would load";
const mode =
  "what the migration's capabilities add to the stream is not in the stream itself: was it made with multifd, post-copy, huge pages or shared memory?";

/** By code. Every code that reading a stream can raise has one. */
export const likelyCauses: Readonly<Record<string, string>> = {
  ALLOCATION_UNJUSTIFIED: damaged,
  BITS_RANGE: damaged,
  CAPABILITY_MISMATCH: "the capabilities (migrate-set-capabilities) must be the same on both sides",
  CHECK_TOO_LARGE: "no device of QEMU has as many fields: are these dumps of -dump-vmstate?",
  COMMAND_LENGTH: damaged,
  COMMAND_UNKNOWN: "a newer QEMU wrote it, or bytes before it are damaged; `godwit edit --drop-command` takes it out",
  COMMAND_UNEXPECTED: "the stream is of a mode (post-copy, COLO) that this cannot serve",
  CONFIGURATION_MISMATCH:
    "the stream says another page size or machine than can be: it is damaged, or of another target",
  COUNT_BOUND: damaged,
  COUNT_MISMATCH: damaged,
  DEVICE_CHECK: guest,
  DEVICE_FAILED: "a description that was brought along (--plugin) threw: its author should know",
  DUMP_INVALID: "a dump is what `qemu-system-... -machine TYPE -dump-vmstate FILE` writes",
  FIELD_CHECK: guest,
  FIELD_CUSTOM: otherVersion,
  FIELD_MUST_EXIST: otherVersion,
  FIELD_UNEQUAL: "the destination is configured in another way than the source was",
  FOOTER_MISMATCH: ends,
  FOOTER_MISSING: ends,
  HOLD_BOUND:
    "give --hold a larger size, such as --hold 1G; from a file rather than a pipe less has to be held, as its end can be read first",
  LENGTH_BOUND: damaged,
  MACHINE_MISMATCH:
    "start the destination with the stream's machine type, or rename it: `godwit edit --rename-machine`",
  MAGIC_WRONG:
    "a stream begins with QEVM: is it a raw memory or disk image, a stream that is encrypted, or one with something before it?",
  MEMORY_UNMAPPED: "a device points into memory that the stream does not carry",
  NULL_PATTERN: otherVersion,
  PARAMETER_AMBIGUOUS: "the section alone does not tell the device's shape: give --vmdesc of the same QEMU and machine",
  PARAMETER_WRONG: otherVersion,
  RAM_BLOCK_MISMATCH: `${damaged}; or the page size is another (--vmdesc tells it)`,
  RAM_BLOCK_UNKNOWN: damaged,
  RAM_ENCODING: mode,
  RAM_FLAGS: damaged,
  RAM_OFFSET: damaged,
  RAM_ORDER: damaged,
  SECTION_DUPLICATE: "two streams were joined into one file, or bytes before it are damaged",
  SECTION_ID: damaged,
  SECTION_MISSING: "a device of the destination was not there when the machine was saved",
  SECTION_ORDER: damaged,
  SECTION_TYPE: ends,
  SECTION_UNDELIMITED:
    "give --vmdesc with a stream of the same QEMU and machine, --plugin with a module that describes the section, or as a last resort --footer-scan",
  SECTION_UNKNOWN: "the machine that was saved had a device that this one does not have",
  SECTION_VERSION: otherVersion,
  STREAM_ENDLESS: "the source never came to its end, or the pipe repeats itself: a saved file is never like this",
  STREAM_TRAILING: "something was appended: two files joined, or padding of the medium that it was on",
  STREAM_TRUNCATED: cutOff,
  STREAM_VERSION:
    "QEMU has written version 3 since 2008; version 2 is older, and anything else is damage: load it in the QEMU that wrote it",
  SUBSECTION_DUPLICATE: damaged,
  SUBSECTION_UNKNOWN: otherVersion,
  SUBSECTION_VERSION: otherVersion,
  TRANSLATION_FAULT: guest,
  VIRTQUEUE_INDEX: guest,
  VMDESC_INVALID: "the JSON at the stream's end is damaged or belongs to another stream; give --vmdesc of a good one",
  // Of the plugins.
  MAPPED_RAM: "the stream was moved within its file, or the file was cut: mapped-ram counts from the file's first byte",
  MULTIFD_HELLO: "it is not a channel of this migration: are the files of one save given together?",
  MULTIFD_PACKET: damaged,
  MULTIFD_SYNC: "the channels' files and the main one are of different saves, or one is cut off",
  PAGE_CODEC: damaged,
  XBZRLE_INVALID: damaged,
  VFIO_CONFIG: guest,
  VFIO_DIALECT: otherVersion,
  VFIO_MARKER: otherVersion,
  VFIO_MULTIFD:
    "the device's state travelled in channels beside this stream, which are not read here: save without multifd",
  VFIO_SUB_FLAG: otherVersion,
  "ccs-fdt-mismatch": "the destination's device tree differs from the one that the walk began in",
};

/** Codes of descriptions, of a kernel's own life and of a source: reading a stream raises none of them. */
export const notFromStreams: readonly string[] = [
  "ABSENT_MISMATCH",
  "ATTEMPT_ACTIVE",
  "ATTEMPT_ENDED",
  "CLOCK_RUNNING",
  "DEFINITION_INVALID",
  "DEPENDENCY_CYCLE",
  "DEPENDENCY_ITERABLE",
  "DEPENDENCY_UNKNOWN",
  "DEVICE_ASYNC",
  "DEVICE_UNMIGRATABLE",
  "FIELD_MISSING",
  "INSTANCE_AMBIGUOUS",
  "MACHINE_TORN",
  "PAGE_ABSENT",
  "PLUGIN_CONTRACT",
  "RECORD_CYCLE",
  "REGISTRY_FROZEN",
  "SAVE_ASYNC",
  "VFIO_DRIVER",
  "VFIO_P2P",
  "VFIO_POSTCOPY",
  "VFIO_STATE",
  "VIRTIO_TOO_EARLY",
];

export function likelyCause({ code, location, found }: MigrationError): string | undefined {
  if (code === "STREAM_TRUNCATED" && location.section === "stream" && location.path === "type") {
    return `${cutOff} A whole stream ends with an EOF byte`;
  }
  if (code === "MAGIC_WRONG" && found === "0x4d564551") return "its bytes are swapped in fours: how was it copied?";
  return likelyCauses[code];
}
