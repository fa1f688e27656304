// The rule of releases, case by case: what a change of a description asks of versions and changesets.
import {
  bool,
  buffer,
  type Description,
  since,
  struct,
  subsection,
  u8,
  u16,
  u32,
  until,
  unused,
  vmstate,
} from "@godwit/core";
import { dumpOf } from "@godwit/core/tools";
import { describe, expect, it } from "vitest";
import { presentPlugins } from "../../apps/cli/src/check/plugins.ts";
import { type Bump, bumpBetween, compareVersions, largest, raised } from "../changes/bump.ts";
import { parseChangeset } from "../changes/changesets.ts";
import { readRepository } from "../changes/repository.ts";
import { type Changes, checkChanges, type PackageState } from "../changes/rule.ts";
import { missingHeadings } from "../changes/upgrading.ts";
import { wireChanges } from "../changes/wire.ts";

const fields = { lcr: u8, divisor: u16, fifo: buffer(16) };
const first = vmstate({ name: "uart", version: 1, fields });
const grown = vmstate({
  ...{ name: "uart", version: 2, minimumVersion: 1 },
  fields: { ...fields, baud: since(2, u32, { absent: 0 }) },
});
const timeout = subsection({
  ...{ name: "uart/timeout", version: 1, fields: { ticks: u16 } },
  needed: (own: { ticks: number }) => own.ticks !== 0,
  absent: { ticks: 0 },
});
const withTimeout = vmstate({ name: "uart", version: 1, fields, subsections: { timeout } });

const dump = (...descriptions: Description[]) => dumpOf(descriptions, "uart");

interface Case {
  readonly present: Description;
  readonly version?: string;
  readonly bump?: Bump;
  /** Versions that are out, with what each had; the default is 0.1.0 with `first`. */
  readonly published?: readonly (readonly [string, Description])[];
  readonly upgrading?: string;
}

const uart = (version: string, upgrading = "## 0.2\n\nText.\n\n## 0.1\n\nText.\n"): PackageState => ({
  ...{ name: "@godwit/uart", folder: "plugins/uart", version, private: false, upgrading, changelog: "" },
  ...{ peers: {}, carries: [] },
});

function changesOf({ present, version = "0.1.0", bump, published = [["0.1.0", first]], upgrading }: Case): Changes {
  return {
    packages: [uart(version, upgrading)],
    changesets:
      bump === undefined ? [] : [parseChangeset("a.md", `---\n"@godwit/uart": ${bump}\n---\n\nA field more.\n`)],
    dumps: published.map(([of, description]) => ({ plugin: "uart", version: of, dump: dump(description) })),
    present: new Map([["uart", dump(present)]]),
  };
}

const linesOf = (changes: Changes) =>
  checkChanges(changes).map(({ code, about, place }) => `${code} ${about}${place === "" ? "" : ` ${place}`}`);
const found = (one: Case) => linesOf(changesOf(one));

describe("a change of the wire, with a version of its own", () => {
  it("nothing changed: nothing is asked", () => {
    expect(found({ present: first })).toEqual([]);
  });

  it("wants a changeset", () => {
    expect(found({ present: grown })).toEqual([
      "BUMP_TOO_SMALL @godwit/uart uart",
      "BUMP_TOO_SMALL @godwit/uart uart#baud",
    ]);
    const [head, field] = checkChanges(changesOf({ present: grown }));
    expect(head?.text).toBe(
      "the wire is not that of 0.1.0 (uart, version 1, minimum 1, priority default, sent always; now: uart, version 2, minimum 1, priority default, sent always), and no release of it is pending",
    );
    expect(field?.text).toContain("(nothing; now: baud: uint32, 4 B, since 2, ");
    expect(field?.remedy).toBe('write a changeset, .changeset/NAME.md, with the line "@godwit/uart": minor');
  });

  it.each(["none", "patch"] as const)("a changeset of %s is too small", (bump) => {
    expect(found({ present: grown, bump })).toContain("BUMP_TOO_SMALL @godwit/uart uart#baud");
  });

  it.each(["minor", "major"] as const)("a changeset of %s is enough", (bump) => {
    const upgrading = "## 1.0\n\nText.\n\n## 0.2\n\nText.\n\n## 0.1\n\nText.\n";
    expect(found({ present: grown, bump, upgrading })).toEqual([]);
  });

  it("the largest of several changesets counts", () => {
    const changes = changesOf({ present: grown, bump: "patch" });
    const more = parseChangeset("b.md", '---\n"@godwit/uart": minor\n---\n\nMore.\n');
    expect(linesOf({ ...changes, changesets: [...changes.changesets, more, ...changes.changesets] })).toEqual([]);
  });

  it("a subsection, a rename, another type of the same size: each is one as well", () => {
    expect(found({ present: withTimeout })).toEqual(["BUMP_TOO_SMALL @godwit/uart uart/timeout"]);
    const renamed = vmstate({ name: "uart", version: 1, fields: { line: u8, divisor: u16, fifo: buffer(16) } });
    expect(found({ present: renamed })).toEqual([
      "BUMP_TOO_SMALL @godwit/uart uart#lcr",
      "BUMP_TOO_SMALL @godwit/uart uart#line",
    ]);
  });

  it("a version of package.json that is a minor above the published one is enough, and wants its dump", () => {
    expect(found({ present: grown, version: "0.2.0" })).toEqual(["DUMP_MISSING @godwit/uart"]);
    expect(found({ present: grown, version: "0.1.1" })).toEqual([
      "DUMP_MISSING @godwit/uart",
      "BUMP_TOO_SMALL @godwit/uart uart",
      "BUMP_TOO_SMALL @godwit/uart uart#baud",
    ]);
    expect(found({ present: grown, version: "0.1.1", bump: "minor" })).toEqual(["DUMP_MISSING @godwit/uart"]);
  });

  it("the newest dump counts, by its number", () => {
    const published = [
      ["0.9.0", first],
      ["0.10.0", grown],
    ] as const;
    const upgrading = "## 0.10\n\nText.\n";
    expect(found({ present: grown, version: "0.10.0", published, upgrading })).toEqual([]);
    expect(found({ present: first, version: "0.10.0", published, upgrading })).toContain(
      "BUMP_TOO_SMALL @godwit/uart uart#baud",
    );
  });

  it("a dump that was written for a patch does not hide it", () => {
    const published = [
      ["0.1.0", first],
      ["0.1.1", grown],
    ] as const;
    expect(found({ present: grown, version: "0.1.1", published })).toEqual(["BUMP_TOO_SMALL @godwit/uart uart"]);
    const later = [...published.slice(0, 1), ["0.2.0", grown]] as const;
    expect(found({ present: grown, version: "0.2.0", published: later })).toEqual([]);
  });
});

describe("a change of the wire without a version", () => {
  const unversioned = (present: Description, published?: Description) =>
    checkChanges(changesOf({ present, bump: "minor", ...(published && { published: [["0.1.0", published]] }) }));

  it("is named with its package, description and field, whatever the bump", () => {
    const all = unversioned(vmstate({ name: "uart", version: 1, fields: { ...fields, baud: u32 } }));
    expect(all.map(({ code, about, place }) => [code, about, place])).toEqual([
      ["WIRE_UNVERSIONED", "@godwit/uart", "uart#baud"],
      ["WIRE_UNVERSIONED", "@godwit/uart", "uart#baud"],
    ]);
    expect(all[0]?.text).toBe(
      "FIELD_ADDED: the reader reads a field that the writer does not write (0.1.0: nothing; now: baud: 4 B, uint32)",
    );
    expect(all[0]?.remedy).toContain("since(n)");
  });

  it.each([
    ["a size", { lcr: u8, divisor: u32, fifo: buffer(16) }, "uart#divisor"],
    ["an order", { divisor: u16, lcr: u8, fifo: buffer(16) }, "uart#lcr"],
    ["a field less", { lcr: u8, fifo: buffer(16) }, "uart#divisor"],
    ["padding for a field", { lcr: u8, _divisor: unused(2), fifo: buffer(16) }, "uart#divisor"],
    [
      "a field until a version that it has already",
      { ...fields, divisor: until(1, u16, { absent: 0 }) },
      "uart#divisor",
    ],
  ] as const)("%s", (_, of, place) => {
    const all = unversioned(vmstate({ name: "uart", version: 1, fields: of }));
    expect(all.map(({ code }) => code)).toContain("WIRE_UNVERSIONED");
    expect(all.map((one) => one.place)).toContain(place);
  });

  it("a version that old saves are below", () => {
    expect(unversioned(vmstate({ name: "uart", version: 2, fields })).map(({ text }) => text.split(":")[0])).toEqual([
      "VERSION_TOO_OLD",
    ]);
  });

  it("fields where there were none, and none where there were: a comparison of QEMU's dumps calls that unknown", () => {
    const empty = vmstate({ name: "uart", version: 1, fields: {} });
    const each = (code: string) => ["lcr", "divisor", "fifo"].map((field) => `uart#${field} ${code}`);
    const told = (of: typeof first, before: typeof first) =>
      unversioned(of, before).map(({ place, text }) => `${place} ${text.split(":")[0]}`);
    const both = [...each("FIELD_ADDED"), ...each("FIELD_REMOVED")];
    expect(told(first, empty as never)).toEqual(both);
    expect(told(empty as never, first)).toEqual([...both.slice(3), ...both.slice(0, 3)]);
    const later = vmstate({
      ...{ name: "uart", version: 2, minimumVersion: 1 },
      fields: { lcr: since(2, u8, { absent: 0 }) },
    });
    expect(unversioned(later, empty)).toEqual([]);
  });
});

describe("what is around a plugin", () => {
  it("its dumps are no newer than it is, and its package exists", () => {
    const published = [["0.2.0", first]] as const;
    expect(found({ present: first, published })).toEqual(["DUMP_AHEAD @godwit/uart"]);
    expect(linesOf({ ...changesOf({ present: first }), packages: [] })).toEqual(["DUMP_UNOWNED @godwit/uart"]);
  });

  it("a plugin that was never published has no wire to keep", () => {
    expect(found({ present: grown, published: [] })).toEqual(["DUMP_MISSING @godwit/uart"]);
  });
});

describe("what holds a package that is raised", () => {
  const text = "## 1.0\n\nText.\n\n## 0.2\n\nText.\n\n## 0.1\n\nText.\n";
  const core: PackageState = { ...uart("0.1.3", text), name: "@godwit/core", folder: "packages/core" };
  const peers = { "@godwit/core": ">=0.1.0 <1", "fast-check": "^4" };
  const create: PackageState = { ...uart("0.1.0", text), name: "create-godwit-plugin", carries: ["@godwit/core"] };
  const check = (packages: readonly PackageState[], ...lines: string[]) =>
    checkChanges({
      ...{ packages, dumps: [], present: new Map() },
      changesets: [parseChangeset("a.md", `---\n${lines.join("\n")}\n---\n\nText.\n`)],
    });

  it("by a peer range that ends at the next major: a patch would take it from who has the older peer", () => {
    const plugin = { ...uart("0.1.0", text), peers };
    const [found, ...more] = check([core, plugin], '"@godwit/core": major', '"@godwit/uart": patch');
    expect([found?.code, found?.about, found?.place, more]).toEqual([
      ...["BUMP_TOO_SMALL", "@godwit/uart", "@godwit/core", []],
    ]);
    expect(found?.text).toBe('@godwit/core goes to 1.0.0, and its peer range ">=0.1.0 <1" with it');
    expect(found?.remedy).toContain('"@godwit/uart": minor');
    expect(check([core, plugin], '"@godwit/core": major', '"@godwit/uart": minor')).toEqual([]);
    expect(check([core, plugin], '"@godwit/core": minor')).not.toContainEqual(
      expect.objectContaining({ place: core.name }),
    );
    expect(check([core, { ...plugin, private: true }], '"@godwit/core": major')).toEqual([]);
  });

  it("from 1.0 on only with a major of its own", () => {
    const one = { ...core, version: "1.4.0", upgrading: `## 2.0\n\nText.\n\n## 1.4\n\nText.\n\n${text}` };
    const plugin = {
      ...uart("1.1.0", `## 2.0\n\nText.\n\n## 1.2\n\nText.\n\n## 1.1\n\nText.\n`),
      peers: { [one.name]: ">=1.0.0 <2" },
    };
    expect(check([one, plugin], '"@godwit/core": minor')).toHaveLength(1); // UPGRADING.md of core
    const [found] = check([one, plugin], '"@godwit/core": major', '"@godwit/uart": minor');
    expect(found?.remedy).toContain('"@godwit/uart": major');
    expect(check([one, plugin], '"@godwit/core": major', '"@godwit/uart": major')).toEqual([]);
  });

  it("by a caret that is published in it: new plugins would go on being made with the older one", () => {
    const [found, ...more] = check([core, create], '"@godwit/core": minor');
    expect([found?.about, found?.place, more]).toEqual(["create-godwit-plugin", "@godwit/core", []]);
    expect(found?.text).toBe("@godwit/core goes to 0.2.0, and what is published of it has ^0.1.3");
    expect(check([core, create], '"@godwit/core": patch')).toEqual([]);
    expect(check([core, create], '"@godwit/core": minor', '"create-godwit-plugin": patch')).toEqual([]);
    const later = { ...core, version: "1.0.0" };
    const codes = check([later, create], '"@godwit/core": minor').map(({ code }) => code);
    expect(codes).toEqual(["UPGRADING_MISSING"]);
  });

  it("is found in this repository: every plugin by core, and what new plugins are made with", () => {
    const changes = readRepository();
    const of = (bump: Bump) =>
      checkChanges({
        ...{ ...changes, dumps: [], present: new Map() },
        changesets: [parseChangeset("a.md", `---\n"@godwit/core": ${bump}\n---\n\nText.\n`)],
      })
        .filter(({ place }) => place === "@godwit/core")
        .map(({ about }) => about);
    expect(of("minor")).toEqual(["create-godwit-plugin"]);
    expect(of("major")).toEqual(
      expect.arrayContaining(["create-godwit-plugin", "@godwit/migration", "@godwit/virtio-rng"]),
    );
  });
});

describe("a pre-release", () => {
  it("is refused, whether it is to come or is there", () => {
    const changes = changesOf({ present: first });
    expect(linesOf({ ...changes, isPrerelease: true })).toEqual(["PRERELEASE .changeset/pre.json"]);
    expect(linesOf({ ...changes, packages: [uart("0.2.0-beta.0")] })).toEqual(["PRERELEASE @godwit/uart"]);
  });
});

describe("a changeset", () => {
  const core: PackageState = { ...uart("0.1.0"), name: "@godwit/core" };
  const hidden: PackageState = { ...uart("0.1.0", ""), name: "@godwit/interop", private: true };
  const check = (text: string) =>
    linesOf({ packages: [core, hidden], changesets: [parseChangeset("a.md", text)], dumps: [], present: new Map() });

  it("names published packages", () => {
    expect(check('---\n"@godwit/core": patch\n---\n\nText.\n')).toEqual([]);
    expect(check("---\n'@godwit/core': patch\n---\n\nText.\n")).toEqual([]);
    expect(check('---\n"@godwit/cure": patch\n"@godwit/interop": minor\n---\n\nText.\n')).toEqual([
      "CHANGESET_PACKAGE .changeset/a.md @godwit/cure",
      "CHANGESET_PACKAGE .changeset/a.md @godwit/interop",
    ]);
  });

  it("may be for nobody, and says something otherwise", () => {
    expect(check("---\n---\n")).toEqual([]);
    expect(check('---\n"@godwit/core": patch\n---\n')).toEqual(["CHANGESET_EMPTY .changeset/a.md"]);
  });

  it.each([
    ["", "it does not begin"],
    ["Text.\n", "it does not begin"],
    ['---\n"@godwit/core": patch\n', "it does not begin"],
    ['---\n"@godwit/core": big\n---\n\nText.\n', '@godwit/core is to be raised by "big"'],
    ['---\n"@godwit/core"\n---\n\nText.\n', "no list"],
    ['---\n- "@godwit/core": patch\n---\n\nText.\n', "no list"],
    ['---\n"@godwit/core: patch\n---\n\nText.\n', "no YAML"],
    ['---\n"@godwit/core": patch\n"@godwit/core": minor\n---\n\nText.\n', "no YAML"],
  ])("%j is none", (text, fault) => {
    expect(parseChangeset("a.md", text).fault).toContain(fault);
    expect(check(text)).toEqual(["CHANGESET_INVALID .changeset/a.md"]);
  });

  it("of a minor wants a heading in UPGRADING.md, one of a patch does not", () => {
    const minor = { present: first, bump: "minor", upgrading: "## 0.1\n\nText.\n" } as const;
    expect(found(minor)).toEqual(["UPGRADING_MISSING @godwit/uart"]);
    expect(checkChanges(changesOf(minor))[0]?.text).toBe('plugins/uart/UPGRADING.md has no heading "## 0.2"');
    expect(found({ ...minor, bump: "patch" })).toEqual([]);
  });
});

describe("UPGRADING.md", () => {
  it("has a heading with text for each minor of the changelog, and for the version to come", () => {
    const changelog = "# x\n\n## 0.2.1\n\n- a\n\n## 0.2.0\n\n## 0.1.0\n";
    const text = "# x\n\n## 0.2\n\nMove.\n\n## 0.1\n\nText.\n";
    expect(missingHeadings(text, changelog, ["0.2.1"])).toEqual([]);
    expect(missingHeadings(text, changelog, ["0.3.0"])).toEqual(["0.3"]);
    expect(missingHeadings(text.replace("Move.", ""), changelog, ["0.2.1"])).toEqual(["0.2"]);
    expect(missingHeadings("", changelog, [])).toEqual(["0.2", "0.1"]);
    expect(missingHeadings(text.replace("## 0.1", "## 0.10"), changelog, [])).toEqual(["0.1"]);
  });
});

describe("the difference of two dumps", () => {
  const between = (a: Description, b: Description) =>
    wireChanges(dump(a), dump(b)).map(({ description, field, published, present }) => [
      description,
      field,
      `${published} -> ${present}`,
    ]);

  it("is none of the same, and none of a state's own names", () => {
    expect(between(withTimeout, withTimeout)).toEqual([]);
    const padded = (key: "_a" | "_b") =>
      vmstate({ name: "x", version: 1, fields: { [key]: unused(2) } as Record<string, ReturnType<typeof unused>> });
    expect(JSON.stringify(dump(padded("_a")))).not.toBe(JSON.stringify(dump(padded("_b"))));
    expect(between(padded("_a"), padded("_b"))).toEqual([]);
  });

  it("tells a part with what is in it once", () => {
    const inner = vmstate({ name: "inner", version: 1, fields: { a: u8, b: bool } });
    const outer = vmstate({ name: "outer", version: 1, fields: { lcr: u8, inner: struct(inner) } });
    const without = vmstate({ name: "outer", version: 1, fields: { lcr: u8 } });
    expect(between(without, outer).map(([description, field]) => [description, field])).toEqual([["outer", "inner"]]);
    expect(between(outer, without).map(([description, field]) => [description, field])).toEqual([["outer", "inner"]]);
    const other = vmstate({ name: "inner", version: 1, fields: { a: u16, b: bool } });
    const changed = vmstate({ name: "outer", version: 1, fields: { lcr: u8, inner: struct(other) } });
    expect(between(outer, changed)).toContainEqual(["inner", "a", "a: uint8, 1 B, bytes 1 -> a: uint16, 2 B, bytes 2"]);
  });

  it("tells an order, of fields and of subsections", () => {
    const swapped = vmstate({ name: "uart", version: 1, fields: { divisor: u16, lcr: u8, fifo: buffer(16) } });
    expect(between(first, swapped)).toEqual([["uart", "(order)", "lcr, divisor, fifo -> divisor, lcr, fifo"]]);
  });

  it("tells one padding of several", () => {
    const of = (bytes: number) =>
      vmstate({ name: "x", version: 1, fields: { _a: unused(1), b: u8, _c: unused(bytes) } });
    expect(between(of(2), of(3)).map(([, field]) => field)).toEqual(["unused (2)"]);
  });

  it("tells a section that came or went", () => {
    expect(wireChanges(dump(first), dump(first, vmstate({ name: "y", version: 1, fields: {} })))).toMatchObject([
      { section: "y", published: "" },
    ]);
    expect(wireChanges(dump(first), dump())).toMatchObject([{ section: "uart", present: "" }]);
  });
});

describe("versions", () => {
  it("are compared and raised by number", () => {
    expect(compareVersions("0.9.0", "0.10.0")).toBeLessThan(0);
    expect([bumpBetween("0.1.9", "0.2.0"), bumpBetween("0.1.9", "0.1.10"), bumpBetween("0.9.9", "1.0.0")]).toEqual([
      ...["minor", "patch", "major"],
    ]);
    expect([bumpBetween("0.2.0", "0.1.9"), bumpBetween("0.2.0", "0.2.0")]).toEqual(["none", "none"]);
    expect((["none", "patch", "minor", "major"] as const).map((bump) => raised("0.1.9", bump))).toEqual([
      ...["0.1.9", "0.1.10", "0.2.0", "1.0.0"],
    ]);
    expect([largest([]), largest(["patch", "minor", "none"])]).toEqual(["none", "minor"]);
    expect(() => raised("0.1.0-beta", "patch")).toThrow("1.2.3");
  });
});

describe("this repository", () => {
  const plugins = presentPlugins();
  const present = () =>
    new Map(plugins.map(({ name, version, descriptions }) => [name, dumpOf(descriptions, `${name} ${version}`)]));

  it("keeps the rule", () => {
    expect(checkChanges({ ...readRepository(), present: present() })).toEqual([]);
  });

  it.each(plugins.map(({ name }) => name))("%s: a section more that nobody announced is found", (name) => {
    const repository = { ...readRepository(), changesets: [] };
    const newest = repository.dumps.findLast(({ plugin }) => plugin === name)?.dump ?? {};
    const { uart: added } = dump(first);
    const changed = new Map([[name, { ...newest, ...(added && { uart: added }) }]]);
    expect(linesOf({ ...repository, present: changed })).toContain(`BUMP_TOO_SMALL @godwit/${name} uart`);
    expect(linesOf({ ...repository, present: new Map([[name, newest]]) }).join()).not.toContain("BUMP_TOO_SMALL");
  });
});
