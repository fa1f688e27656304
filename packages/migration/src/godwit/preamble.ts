// The comparison of two machines before the first page: everything that their manifests tell would not fit, at once.
import type { Manifest, ManifestSection, MigrationError } from "@godwit/core";
import type { AgreedModes } from "../capabilities.ts";
import { migrationError } from "../codes.ts";

/** One difference between the machine that wants to come and the one that waits for it. */
export interface Misfit {
  /** The code of the error that the load would end in, had it been tried. */
  readonly code: string;
  /** What it is about, such as `section 0000:00:02.0/virtio-blk/0`. */
  readonly subject: string;
  /** False: it only may come to nothing, such as a subsection that the source does not need to send. */
  readonly refuses: boolean;
  /** What the destination has. */
  readonly expected: string;
  /** What the source has. */
  readonly found: string;
}

/** Compares the source's manifest with the destination's own. In the order of the manifests. */
export function misfits(source: Manifest, destination: Manifest): Misfit[] {
  return [
    ...machineMisfits(source, destination),
    ...sectionMisfits(source.sections, destination),
    ...ramMisfits(source.ramBlocks, destination.ramBlocks),
    ...pluginMisfits(source.plugins, destination.plugins),
  ];
}

/** What one side does and the other does not, or does otherwise. */
export function modeMisfits(source: AgreedModes, destination: AgreedModes): Misfit[] {
  const names = new Set([...Object.keys(source), ...Object.keys(destination)]);
  // The source's names are anything.
  const said = (modes: AgreedModes, name: string): string =>
    (Object.hasOwn(modes, name) ? modes[name] : "off") as string;
  return [...names]
    .filter((name) => said(source, name) !== said(destination, name))
    .map((name) => refusal("CAPABILITY_MISMATCH", `capability ${name}`, said(destination, name), said(source, name)));
}

/** Two manifests of the same machine at two moments; what its state needs is another thing at each. */
export function sameManifest(one: Manifest, other: Manifest): boolean {
  const [text, otherText] = [one, other].map((manifest) =>
    JSON.stringify(manifest, (key, value: unknown) => (key === "needed" ? undefined : value)),
  );
  return text === otherText;
}

/** One line a misfit, for people. */
export function formatMisfit({ code, subject, expected, found }: Misfit): string {
  return `${code}: ${subject}: expected ${expected}; found ${found}`;
}

/** The error of a machine that was refused, with everything that does not fit in its text. */
export function misfitError(found: readonly Misfit[]): MigrationError {
  const lines = found.filter((misfit) => misfit.refuses).map(formatMisfit);
  const detail = `the machine does not fit the destination: ${lines.join("; ")}`;
  return migrationError("PREAMBLE_MISFIT", detail, { side: "destination" });
}

const none = "none";

function* machineMisfits(source: Manifest, destination: Manifest): Iterable<Misfit> {
  if (source.machineType === destination.machineType) return;
  yield refusal("MACHINE_MISMATCH", "machine type", destination.machineType, source.machineType);
}

type Readable = Pick<ManifestSection, "version" | "minimumVersion" | "subsections">;
type Reads = Manifest["reads"][number];
/** The kernel of an older copy of core says nothing of what it reads or makes beside its own sections. */
type Destination = Omit<Manifest, "reads" | "kinds"> & Partial<Pick<Manifest, "reads" | "kinds">>;

const keyOf = (section: { idstr: string; instance: number }): string => `${section.idstr}/${section.instance}`;

/** A section that is sent only when its state needs it may not come, and then nothing is said against it. */
function* sectionMisfits(source: Manifest["sections"], destination: Destination): Iterable<Misfit> {
  const { reads = [], kinds = [] } = destination;
  const here = new Map(destination.sections.map((section) => [keyOf(section), section]));
  const earlier = new Map(reads.map((section) => [keyOf(section), section]));
  const there = new Map(source.map((section) => [keyOf(section), section]));
  const seen = new Map<string, ManifestSection>();
  const arriving = new Arriving(there);
  const missing = new Map<string, Misfit>();
  for (const found of source) {
    const key = keyOf(found);
    const subject = `section ${key}`;
    const former = here.has(key) ? undefined : earlier.get(key);
    const own: Readable | undefined = here.get(key) ?? former ?? kindOf(found, kinds);
    const refuses = !found.optional;
    const first = seen.get(key);
    if (first !== undefined) {
      yield { ...refusal("SECTION_DUPLICATE", subject, "one", "two"), refuses: refuses && !first.optional };
    }
    seen.set(key, found);
    if (former !== undefined) yield* arriving.as(former, found);
    for (const part of former?.with ?? []) {
      const old = earlier.get(part);
      const other = there.get(part);
      if (old === undefined || old.optional || other?.optional === false) continue;
      const isCertain = missing.get(part)?.refuses === true || (refuses && other === undefined);
      missing.set(part, { ...lack(part, old, other), refuses: isCertain });
    }
    if (own === undefined) {
      yield { ...refusal("SECTION_UNKNOWN", subject, none, `version ${found.version}`), refuses };
      continue;
    }
    if (found.version > own.version || found.version < own.minimumVersion) {
      const readable = `version ${own.minimumVersion} to ${own.version}`;
      yield { ...refusal("SECTION_VERSION", subject, readable, `version ${found.version}`), refuses };
    }
    for (const name of found.subsections) {
      if (own.subsections.includes(name)) continue;
      // What the state does not need now it may still need in the end: whether it will is not known yet.
      yield {
        code: "SUBSECTION_UNKNOWN",
        subject: `${subject}, subsection ${name}`,
        refuses: found.needed?.includes(name) === true,
        expected: none,
        found: name,
      };
    }
  }
  yield* missing.values();
  for (const [key, own] of here) {
    const from = [there.get(key), arriving.from(key)].filter((one) => one !== undefined);
    if (own.optional || from.some(({ optional }) => !optional)) continue;
    yield { ...lack(key, own, from[0]), refuses: from.length === 0 };
  }
}

/** What is not there, or may not come. */
function lack(key: string, { version }: ManifestSection, found: ManifestSection | undefined): Misfit {
  const maybe = found && `version ${found.version} of ${keyOf(found)}, if its state needs it`;
  return refusal("SECTION_MISSING", `section ${key}`, `version ${version}`, maybe ?? none);
}

/** Which present sections the source's sections become, as far as these have another name here. */
class Arriving {
  readonly #there: ReadonlyMap<string, ManifestSection>;
  readonly #into = new Map<string, { readonly former: Reads; readonly found: ManifestSection }>();

  constructor(there: ReadonlyMap<string, ManifestSection>) {
    this.#there = there;
  }

  /** The source's section that becomes the present one: the surest of them. */
  from(key: string): ManifestSection | undefined {
    return this.#into.get(key)?.found;
  }

  *as(former: Reads, found: ManifestSection): Iterable<Misfit> {
    const key = keyOf(found);
    for (const into of former.into) {
      const before = this.#into.get(into);
      const together = before?.former.with.includes(key) === true;
      const twice = this.#there.get(into) ?? (together ? undefined : before?.found);
      if (twice !== undefined) {
        const refuses = !found.optional && !twice.optional;
        yield { ...refusal("SECTION_DUPLICATE", `section ${key}`, "one", `${into} as well`), refuses };
      }
      if (before === undefined || before.found.optional) this.#into.set(into, { former, found });
    }
  }
}

/** What a destination can make for a section that it does not have: a kind is named by the tail of the idstr. */
function kindOf({ idstr, instance }: ManifestSection, kinds: Manifest["kinds"]): Readable | undefined {
  const fitting = kinds.filter(({ name }) => idstr === name || (idstr.endsWith(`/${name}`) && instance === 0));
  return fitting.toSorted((a, b) => b.name.length - a.name.length)[0];
}

function* ramMisfits(source: Manifest["ramBlocks"], destination: Manifest["ramBlocks"]): Iterable<Misfit> {
  const here = new Map(destination.map(({ idstr, bytes }) => [idstr, bytes]));
  const there = new Set<string>();
  for (const { idstr, bytes } of source) {
    const subject = `RAM block ${idstr}`;
    const own = here.get(idstr);
    there.add(idstr);
    if (own === undefined) yield refusal("RAM_BLOCK_UNKNOWN", subject, none, `${bytes} bytes`);
    else if (own !== bytes) yield refusal("RAM_BLOCK_MISMATCH", subject, `${own} bytes`, `${bytes} bytes`);
  }
  for (const [idstr, bytes] of here) {
    if (!there.has(idstr)) yield refusal("RAM_BLOCK_MISMATCH", `RAM block ${idstr}`, `${bytes} bytes`, none);
  }
}

function* pluginMisfits(source: Manifest["plugins"], destination: Manifest["plugins"]): Iterable<Misfit> {
  const here = new Map(destination.map((plugin) => [plugin.name, plugin]));
  for (const { name, version, contract } of new Map(source.map((plugin) => [plugin.name, plugin])).values()) {
    const own = here.get(name);
    if (own?.contract === contract) continue;
    const expected = own === undefined ? none : `contract ${own.contract} (${own.version})`;
    // Plugins are how a machine was put together; whether its state fits is for the sections to say.
    yield {
      ...refusal("PLUGIN_CONTRACT", `plugin ${name}`, expected, `contract ${contract} (${version})`),
      refuses: false,
    };
  }
}

function refusal(code: string, subject: string, expected: string, found: string): Misfit {
  return { code, subject, refuses: true, expected, found };
}
