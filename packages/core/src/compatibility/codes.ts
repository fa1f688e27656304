// Every code that a comparison may give: how bad it is, what it says, what helps. Codes are API.

/** `unknown` is what neither dump holds, and what a stream or a vmdesc of each side would tell. */
export const severities = ["breaks", "may break", "unknown", "harmless"] as const;
export type Severity = (typeof severities)[number];

interface CodeEntry {
  /** Where nothing softens it: see `Condition`. */
  readonly severity: Severity;
  /** Where something softens it: `may break` for what else breaks, and no change for the rest. */
  readonly softened?: Severity;
  /** "writer" is the QEMU that saves, "reader" the one that loads. */
  readonly says: string;
  readonly remedy: string;
}

const table = {
  MACHINE_NAME: {
    severity: "breaks",
    says: "the machine types have different names, and the reader compares them",
    remedy: "dump and start both with the same -machine; or mend a saved stream with `godwit edit --rename-machine`",
  },
  SECTION_REMOVED: {
    severity: "may break",
    softened: "unknown",
    says: "the reader's dump has neither the device class nor another whose section has that name",
    remedy:
      "none for a machine without it; else unplug it, install its module, or see with --vmdesc-new that it is sent",
  },
  SECTION_ADDED: {
    severity: "harmless",
    says: "the reader's dump has a device class that the writer's has not",
    remedy: "none needed",
  },
  SECTION_CLASS: {
    severity: "harmless",
    says: "the device class is gone; a section of that name is still read",
    remedy: "none needed",
  },
  SECTION_NAME: {
    severity: "breaks",
    says: "the section has another name",
    remedy: "keep the description's name: the name finds the section",
  },
  SECTION_UNKNOWN: {
    severity: "may break",
    says: "the reader's stream has no such section: the load is refused, unless it is one that is only sent when needed",
    remedy:
      "give the destination the options and devices that make the section; nothing helps where the release has none",
  },
  SECTION_NOT_SENT: {
    severity: "harmless",
    says: "a section of the reader's stream is not among the writer's: the device keeps its state after reset",
    remedy: "none needed for the load; see that the device may start from reset",
  },
  SECTION_PATH: {
    severity: "unknown",
    says: "the section has a device path on one side only; a reader with paths also takes the bare name",
    remedy: "try it: which instance the bare name stands for is in no stream",
  },
  SECTION_IN_NO_DUMP: {
    severity: "unknown",
    says: "the section is in the stream and in neither dump, as those of CPUs, timers and machine parts are",
    remedy: "give a stream or a vmdesc of each side: --vmdesc and --vmdesc-new",
  },
  SECTION_ORDER: {
    severity: "unknown",
    says: "sections come in another order; what one needs of another while it loads is in no dump",
    remedy: "none, unless a device reads another's state while it loads",
  },
  PRIORITY: {
    severity: "may break",
    says: "the description has another priority, and so another place in the stream",
    remedy: "see that no device needs at its load what now comes later",
  },
  SECTION_RULE: {
    severity: "may break",
    says: "of our own descriptions: whether the section is sent early, always, when needed or never is another",
    remedy: "an old reader refuses a save that lacks what it needs: give `needed` and `absent` together",
  },
  DESCRIPTION_EMPTY: {
    severity: "unknown",
    says: "an empty description: what cannot migrate and what has nothing to save look the same in a dump",
    remedy: "none where the device refuses to migrate; else a new field needs a new version",
  },
  VERSION_TOO_NEW: {
    severity: "breaks",
    says: "the writer's version is above the reader's",
    remedy: "state that is seldom in use goes into a subsection, which leaves the version alone",
  },
  VERSION_TOO_OLD: {
    severity: "breaks",
    says: "the writer's version is below the reader's minimum",
    remedy: "keep the minimum version, and read what is gone as until(version)",
  },
  VERSION_RAISED: {
    severity: "harmless",
    says: "the version is higher, and the older one is still read",
    remedy: "none needed",
  },
  MINIMUM_VERSION: {
    severity: "harmless",
    says: "the minimum version is another; it does not matter between these two",
    remedy: "see whether streams of still older releases are to load",
  },
  NESTED_VERSION: {
    severity: "harmless",
    says: "a struct has another version; it stands nowhere in the stream",
    remedy: "none needed while its fields are the same",
  },
  NESTED_NAME: {
    severity: "harmless",
    says: "a struct's description has another name; it stands nowhere in the stream",
    remedy: "none needed",
  },
  FIELD_ADDED: {
    severity: "breaks",
    says: "the reader reads a field that the writer does not write",
    remedy: "put it into a subsection, or read it since a new version",
  },
  FIELD_REMOVED: {
    severity: "breaks",
    says: "the writer writes a field that the reader does not read",
    remedy: "leave padding of the same size in its place, or read it until a new version",
  },
  FIELD_SINCE: {
    severity: "breaks",
    says: "the reader has the field, but not in this version, and the writer writes it",
    remedy: "keep the versions between which the field is there",
  },
  FIELD_SINCE_CHANGED: {
    severity: "harmless",
    says: "the field's first or last version is another; it does not matter between these two",
    remedy: "see whether streams of still older releases are to load",
  },
  FIELD_LATER: {
    severity: "harmless",
    says: "the reader has a field of a later version, and leaves it at reset for this writer",
    remedy: "none needed",
  },
  FIELD_LATER_IN_STRUCT: {
    severity: "may break",
    says: "a field of a later version inside a struct, whose version the stream does not hold: each side goes by its own",
    remedy: "name the struct's version in the enclosing description (vstruct), or use a subsection",
  },
  FIELD_ADDED_CONDITIONAL: {
    severity: "may break",
    says: "the reader may read a field that the writer does not write, if the field's test says so",
    remedy: "see that the machine type switches the test off, or give --vmdesc-new",
  },
  FIELD_REMOVED_CONDITIONAL: {
    severity: "may break",
    says: "the writer may write a field that the reader does not read, if the field's test says so",
    remedy: "see that the machine type switches the test off, or give a stream of the writer",
  },
  FIELD_CONDITION: {
    severity: "may break",
    says: "a test decides about the field on one side only",
    remedy: "see that the test says yes for this machine, or give a stream of each side",
  },
  FIELD_RENAMED: {
    severity: "harmless",
    says: "a field of another name and the same size in the same place",
    remedy: "none, if it means the same",
  },
  FIELD_TO_PADDING: {
    severity: "harmless",
    says: "the reader skips the field as padding of the same size",
    remedy: "none needed",
  },
  PADDING_TO_FIELD: {
    severity: "may break",
    says: "the writer writes zeros where the reader still has the field",
    remedy: "see that the reader's device goes on from zero, or edit the saved stream",
  },
  PADDING_SIZE: {
    severity: "unknown",
    says: "padding stands for a field whose array count the older dump does not hold, so the sizes cannot be compared",
    remedy: "give a stream or a vmdesc of the older side",
  },
  FIELD_ORDER: {
    severity: "breaks",
    says: "the same fields in another order",
    remedy: "keep the order of fields: it is the order of the bytes",
  },
  FIELD_SIZE: {
    severity: "breaks",
    says: "the field has another size",
    remedy: "leave the old field as padding, and bring the new one in a subsection or since a new version",
  },
  FIELD_SIZE_UNKNOWN: {
    severity: "unknown",
    says: "the dump gives a size in memory, or none, for this field",
    remedy: "give a stream or a vmdesc of each side",
  },
  FIELD_COUNT: {
    severity: "breaks",
    says: "the array has another number of elements",
    remedy: "keep the old count; further elements go into a subsection",
  },
  FIELD_COUNT_CHANGES: {
    severity: "may break",
    says: "the array has a fixed count on one side only",
    remedy: "see that the counting field holds the fixed count",
  },
  FIELD_KIND: {
    severity: "breaks",
    says: "a struct on one side, a plain field on the other",
    remedy: "keep the number of bytes",
  },
  FIELD_RESHAPED: {
    severity: "harmless",
    says: "a struct on one side, a plain field of the same size on the other",
    remedy: "none, if the bytes mean the same",
  },
  FIELD_TYPE: {
    severity: "may break",
    says: "the field has another type of the same size",
    remedy: "see that each value means the same in both types",
  },
  FIELD_SIGN: {
    severity: "harmless",
    says: "an integer has a sign on one side only; its bytes are the same",
    remedy: "none, if its values fit both",
  },
  FIELD_SPLIT: {
    severity: "harmless",
    says: "one field on one side, several of the same size together on the other",
    remedy: "none, if the bytes mean the same",
  },
  FIELD_RULE: {
    severity: "may break",
    says: "of our own descriptions: a count, a size, a check or a null pattern that depends on the record is another",
    remedy: "see that each accepts the records of the other",
  },
  SUBSECTION_REMOVED: {
    severity: "breaks",
    says: "a subsection that the reader does not know; it is refused when it is sent",
    remedy: "the reader keeps a description of it; or the writer's machine type sees to it that it is not needed",
  },
  SUBSECTION_ADDED: {
    severity: "harmless",
    says: "the reader knows a further subsection",
    remedy: "none needed",
  },
  SUBSECTION_NOT_SEEN: {
    severity: "unknown",
    says: "a subsection that the writer's stream has and the reader's has not, in a section that no dump holds",
    remedy: "none, if the reader's did not need it",
  },
  SUBSECTION_ORDER: {
    severity: "harmless",
    says: "subsections come in another order; a reader takes them in any",
    remedy: "none needed",
  },
} as const satisfies Record<string, CodeEntry>;

export type CheckCode = keyof typeof table;

/** The one table of codes. */
export const checkCodes: Readonly<Record<CheckCode, CodeEntry>> = table;

/** What must be so before a finding matters; any of them makes `may break` of `breaks`. */
export type Condition =
  /** The machine has the device: a class in a dump is only one that could be there. */
  | "device"
  /** The subsection is needed, so it is sent. */
  | "subsection"
  /** The existence test of a field around it says yes. */
  | "test"
  /** Seen in a stream's description alone, where state may decide what is sent. */
  | "state";
