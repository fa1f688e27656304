// What `--redact` leaves out, so that the output can go into a bug report. The rule is to show what is known to be
// harmless, not to hide what is known to be secret.
import type { FieldValue } from "../model/fields.ts";

/**
 * Left out, and replaced by their length where they have one:
 * - everything that is memory or a buffer: RAM (which is never shown), FIFOs, MAC addresses, configuration images, strings;
 * - the machine's UUID, the stream's name, libvirt's domain, names and times of recordings, when the machine was saved, and
 *   values in error messages;
 * - addresses in guest memory, physical or of a device: of rings, tables, channel programs, interrupts;
 * - every number in a section that no plugin of Godwit's describes, a processor's registers for example: nobody has said
 *   which of them hold what a guest computes with. Booleans, and what a load compares with the destination, are shown.
 *
 * Shown: the stream's shape (idstrs, names of RAM blocks, offsets, sizes, versions, commands), and of our plugins' sections
 * numbers that are no addresses (indices, sizes, vectors, status, features), with their names.
 */
export function mayShow(plugin: string | undefined, field: FieldValue): boolean {
  const { value, path, type = "" } = field;
  if (value === null || typeof value === "boolean") return true;
  if (typeof value !== "number" && typeof value !== "bigint") return false;
  if (path === "$version" || path.endsWith(".$version")) return true;
  if (plugin?.startsWith("@godwit/") === true) return !addresses.test(path);
  return comparedTypes.has(type);
}

/** The last names of paths that lead to addresses, to what a driver keeps beside them, or to when the machine was saved. */
const addresses = new RegExp(
  `(?:^|[.\\]])(?:${[
    "desc",
    "avail",
    "used",
    "(?:desc|avail|used)_(?:low|high)",
    "addr",
    "address",
    "root",
    "intr_root",
    "iq",
    "channel_prog",
    "cpa",
    "cda",
    "mba",
    "intparm",
    "ind_offset",
    "summary_offset",
    "chnmon_area",
    "mig_table",
    "crq_qladdr",
    "bus_offset",
    "w[0-7]",
    "poison_val",
    "time_of_the_day_ns",
  ].join("|")})(?:\\[\\d+\\])*$`,
);

const comparedTypes: ReadonlySet<string> = new Set([
  "uint8 equal",
  "uint16 equal",
  "uint32 equal",
  "int32 equal",
  "int64 equal",
  "int32 le",
]);
