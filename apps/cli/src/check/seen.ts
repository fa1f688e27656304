// What streams of the two sides show beyond any dump: the sections that were really sent, and those that no dump holds.
import { compareSections, type Direction, type Remark, type SeenSection, type Side } from "@godwit/core/compatibility";

export function compareSeen(
  writer: Side,
  reader: Side,
  direction: Direction,
  isChosen: (one: SeenSection) => boolean,
): Remark[] {
  const remarks: Remark[] = [];
  const [written, read] = [writer.seen?.filter(isChosen), reader.seen?.filter(isChosen)];
  if (written !== undefined && read !== undefined) {
    compareBoth({ ...writer, seen: written }, { ...reader, seen: read }, direction, remarks);
  } else if (written !== undefined) {
    for (const one of written.filter((section) => isInNoDump(section, writer, reader))) {
      remarks.push({ ...remark("SECTION_IN_NO_DUMP", direction, one, "", ""), description: "" });
    }
  }
  return remarks;
}

const keyOf = ({ idstr, instance }: SeenSection) => `${idstr}/${instance}`;

const isInNoDump = ({ name }: SeenSection, ...sides: readonly Side[]) =>
  sides.every(({ classes }) => classes.every(({ description }) => description.name !== name));

interface SeenSide extends Side {
  readonly seen: readonly SeenSection[];
}

function compareBoth(writer: SeenSide, reader: SeenSide, direction: Direction, remarks: Remark[]): void {
  const [written, read] = [writer.seen, reader.seen];
  const readers = new Map(read.map((one) => [keyOf(one), one]));
  const writers = new Map(written.map((one) => [keyOf(one), one]));
  const counts = { writer: true, reader: true };
  for (const one of written) {
    const other = readers.get(keyOf(one));
    if (other === undefined) {
      remarks.push(missing(one, read, direction));
    } else if (isInNoDump(one, writer, reader) && one.description !== undefined && other.description !== undefined) {
      const comparison = { direction, section: keyOf(one), conditions: ["state"] as const, counts, remarks };
      compareSections(one.description, other.description, comparison);
    }
  }
  for (const one of read) {
    if (!writers.has(keyOf(one)) && !written.some((other) => isSameButPath(one, other))) {
      remarks.push({ ...remark("SECTION_NOT_SENT", direction, one, "", ""), description: "" });
    }
  }
  const orders = [written.filter((one) => readers.has(keyOf(one))), read.filter((one) => writers.has(keyOf(one)))];
  const [a = "", b = ""] = orders.map((order) => order.map(keyOf).join(", "));
  const [first] = written;
  if (a !== b && first !== undefined) {
    remarks.push({ ...remark("SECTION_ORDER", direction, first, a, b), section: "", description: "" });
  }
}

/** A reader whose device has a path also answers to the bare name. */
function missing(one: SeenSection, read: readonly SeenSection[], direction: Direction): Remark {
  const heir = read.find((other) => isSameButPath(one, other));
  if (heir !== undefined) return remark("SECTION_PATH", direction, one, keyOf(one), keyOf(heir));
  return remark("SECTION_UNKNOWN", direction, one, keyOf(one), "");
}

const isSameButPath = (a: SeenSection, b: SeenSection) =>
  a.name === b.name && a.idstr !== b.idstr && (a.idstr === a.name || b.idstr === b.name);

function remark(
  code: Remark["code"],
  direction: Direction,
  section: SeenSection,
  writer: string,
  reader: string,
): Remark {
  const { name: description } = section;
  return {
    ...{ code, direction, section: keyOf(section), path: "", description, subject: "", writer, reader },
    conditions: [],
  };
}
