// The example computer's five releases: every golden save loads into every later one with every value in its place, and
// a downgrade gives the error that the guide promises.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { busy, computers, goldenName, type Release, releases, saveOf } from "../examples/releases/golden.ts";
import { clockChip } from "../examples/releases/history.ts";
import { decodeState, isMigrationError, type Kernel, type MigrationError } from "../src/index.ts";
import { findVmdesc, readManifest } from "../src/stream/index.ts";

const examples = fileURLToPath(new URL("../examples/releases/", import.meta.url));
const guide = readFileSync(fileURLToPath(new URL("../../../docs/releases.md", import.meta.url)), "utf8");
const golden = (release: Release): Uint8Array =>
  Uint8Array.from(readFileSync(`${examples}golden/${goldenName(release)}`));

type Computer = { readonly kernel: Kernel };
type Plain = { [key: string]: Plain | number | bigint | boolean | number[] };

/** What is in a computer, its kernel left out. */
function plain(value: object): Plain {
  const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .filter(([key]) => key !== "kernel" && key !== "registration")
      .map(([key, own]) => {
        if (ArrayBuffer.isView(own)) return [key, [...(own as Uint8Array)]];
        return [key, typeof own === "object" && own !== null ? plain(own) : own];
      }),
  ) as Plain;
}

/** Nothing is what a save could bring: a field that a load forgets shows. */
function scramble(value: object): void {
  for (const [key, own] of Object.entries(value)) {
    if (["kernel", "registration", "century"].includes(key)) continue;
    if (ArrayBuffer.isView(own)) (own as Uint8Array).fill(0xee);
    else if (typeof own === "object") scramble(own as object);
    else if (typeof own === "boolean") Object.assign(value, { [key]: !own });
    else Object.assign(value, { [key]: typeof own === "bigint" ? own + 77n : (own as number) + 77 });
  }
}

function scrambled(release: Release): Computer {
  const computer = computers[release]();
  scramble(computer);
  return computer;
}

async function loaded(release: Release, save: Uint8Array): Promise<Computer> {
  const computer = scrambled(release);
  await computer.kernel.load(save);
  return computer;
}

const ram = { bytes: Array.from({ length: 64 }, (_, i) => 255 - i) };
const matrix = [0, 0, 4, 0, 0, 0, 128, 1];
const tone = [440, 880, 1320];
const volume = [15, 10, 5, 1];
const firstInputs = {
  keyboard: { matrix, latch: 5 },
  joystick: { port_a: 17, port_b: 2 },
  lightPen: { x: 300, y: 199 },
};
const firstSound = { sound: { tone, noise: 7, volume }, tape: { position: 70_000, motor: true } };
const serial = { line_control: 3, divisor: 12 };

/** What the golden save of `from` is in release `to`. Release 1 knew no timeout, no speed and no cartridges. */
function expected(from: Release, to: Release): Plain {
  const seconds = 1_000_000_000 + from;
  const timeout = { ticks: from === 1 ? 0 : 40 };
  const modem = { online: true, dialled: 5_550_100, ...(to === 1 ? {} : { baud: from === 1 ? 300 : 2400 }) };
  const cartridge = { bank: 3, battery_ram: [8, 7, 6, 5, 4, 3, 2, 1] };
  const slots = { inserted: (from < 3 ? {} : { "slot-2": cartridge }) as Plain };
  const audio = {
    psg: { tone, noise: 7 },
    mixer: { left: volume, right: from < 4 ? volume : volume.toReversed() },
  };
  // Since release 4 no save has the tape: what the front end had stays.
  const tapeDeck = from < 4 ? firstSound.tape : { position: 77, motor: true };
  if (to === 1)
    return { ram, serial, clockChip: { seconds, control: 2, century: 19 }, ...firstSound, ...firstInputs, modem };
  if (to === 2) {
    const clock = { seconds, control: 2, century: 19 };
    return { ram, serial: { ...serial, timeout }, clockChip: clock, ...firstSound, ...firstInputs, modem };
  }
  const uart = { ...serial, timeout };
  const clock = { seconds, control: 2, century: 0 };
  if (to === 3) return { ram, uart, clockChip: clock, ...firstSound, ...firstInputs, modem, slots };
  if (to === 4) return { ram, uart, clockChip: clock, audio, tapeDeck, ...firstInputs, modem, slots };
  const rtc = { now_ns: BigInt(seconds) * 1_000_000_000n + (from === 5 ? 123_456_789n : 0n), control: 2 };
  const input = { matrix, latch: 5, ports: [17, 2] };
  const network = from < 5 ? { link: false, address: [0, 0, 0, 0, 0, 0] } : { link: true, address: [2, 0, 0, 0, 0, 9] };
  return { ram, uart, rtc, audio, tapeDeck, input, modem, network, slots };
}

const pairs = releases.flatMap((from) => releases.map((to) => ({ from, to })));
const upgrades = pairs.filter(({ from, to }) => from <= to);

describe("a golden save", () => {
  it.each(releases)("of release %i is what that release still writes", async (release) => {
    const [was, is] = [golden(release), await saveOf(busy[release]())];
    const [old, now] = [findVmdesc(was), findVmdesc(is)];
    const advice =
      `${goldenName(release)} is out in the world, and release ${release} writes other bytes now. ` +
      "Take the change back, or make a new release of it: write-golden.ts never replaces a golden save.";
    expect([...is.subarray(0, now?.at)], advice).toEqual([...was.subarray(0, old?.at)]);
    expect(now?.vmdesc.devices, advice).toEqual(old?.vmdesc.devices);
    // A later core may say more in a manifest, and of itself; what an older one said stays.
    expect(readManifest(is), advice).toMatchObject({ ...readManifest(was), contract: expect.any(Number) });
    expect(readManifest(was)?.producer).toEqual({ name: "home-computer", version: `${release}.0.0` });
  });

  it.each(upgrades)("of release $from loads into release $to", async ({ from, to }) => {
    const computer = await loaded(to, golden(from));
    expect(plain(computer)).toEqual(expected(from, to));
    expect(computer.kernel.clock.now()).toBe(1_234_567_890n);
  });

  it.each(upgrades)("of release $from restores into release $to at once", ({ from, to }) => {
    const computer = scrambled(to);
    computer.kernel.restore(busy[from]().kernel.snapshot());
    expect(plain(computer)).toEqual(expected(from, to));
  });

  it.each(upgrades.filter(({ from, to }) => to > from + 1))(
    "of release $from is the same in release $to after every release between",
    async ({ from, to }) => {
      const direct = await saveOf(await loaded(to, golden(from)));
      let save = golden(from);
      for (let step = from; step < to; ) {
        step = (step + 1) as Release;
        save = await saveOf(await loaded(step, save));
      }
      expect(save).toEqual(direct);
    },
  );

  it.each(releases)(
    "of release %i with any bit turned loads whole into the last release, or changes nothing",
    (release) => {
      const whole = golden(release);
      const save = whole.subarray(0, findVmdesc(whole)?.at);
      const codes = new Set<string>();
      let loads = 0;
      let computer = scrambled(5);
      let before = plain(computer);
      let sections = computer.kernel.manifest().sections;
      for (let at = 0; at < save.length; at++) {
        const bad = save.slice();
        bad[at] = (bad[at] as number) ^ (1 << (at % 8));
        try {
          computer.kernel.restore(bad);
        } catch (error) {
          if (!isMigrationError(error)) throw error;
          codes.add(error.code);
          expect(plain(computer)).toEqual(before);
          expect(computer.kernel.manifest().sections).toEqual(sections);
          continue;
        }
        loads++;
        computer = scrambled(5);
        before = plain(computer);
        sections = computer.kernel.manifest().sections;
      }
      // The state is more than a hundred bytes: it is the only part that may be anything.
      expect(loads).toBeGreaterThan(100);
      for (const code of ["SECTION_UNKNOWN", "SECTION_VERSION", "FOOTER_MISMATCH", "STREAM_TRUNCATED"]) {
        expect(codes).toContain(code);
      }
      expect(codes).not.toContain("MACHINE_TORN");
    },
  );

  it("tells what came of earlier sections", async () => {
    const { notes } = await computers[5]().kernel.load(golden(3));
    expect(notes.map(({ code, section, text }) => `${code} ${section}: ${text}`)).toEqual([
      "plugged slot-2/cartridge/0: the stream names it; it was made",
      "retired tape/0: handed on",
      "retired light-pen/0: dropped",
      "former rtc/0: from clock-chip/0 version 2",
      "former psg/0: from sound/0 version 1",
      "former mixer/0: from sound/0 version 1",
      "former input/0: from keyboard/0 version 1, joystick/0 version 1",
    ]);
  });

  it("keeps the speakers apart though they came from one array", async () => {
    const { audio } = (await loaded(4, golden(1))) as ReturnType<(typeof computers)[4]>;
    audio.mixer.left[0] = 99;
    expect(audio.mixer.right[0]).toBe(15);
  });

  it("of a computer without cartridges does not load into one that has some, until they are out", async () => {
    const computer = computers[3]();
    computer.slots.insert("slot-1");
    const error = await refusal(() => computer.kernel.load(golden(2)));
    expect([error.code, error.location.section]).toEqual(["SECTION_MISSING", "slot-1/cartridge/0"]);
    computer.slots.eject("slot-1");
    await computer.kernel.load(golden(2));
    expect(plain(computer)).toEqual({ ...expected(2, 3), slots: { inserted: {} } });
  });
});

async function refusal(work: () => Promise<unknown>): Promise<MigrationError> {
  try {
    await work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** Saves of one release that differ in what was going on. */
const savers: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  "2, nothing new in use": () => saveOf(quiet()),
  "2, receive timeout pending": () => {
    const of = quiet();
    of.serial.timeout.ticks = 40;
    return saveOf(of);
  },
  "2, modem set to 2400": () => {
    const of = quiet();
    of.modem.baud = 2400;
    return saveOf(of);
  },
  ...Object.fromEntries(releases.slice(1).map((of) => [`${of}, golden`, async () => golden(of)])),
};

function quiet() {
  const of = busy[2]();
  of.serial.timeout.ticks = 0;
  Object.assign(of.modem, { online: false, dialled: 0, baud: 300 });
  return of;
}

describe("a downgrade", () => {
  it("is refused as the guide says, or loads as the guide says", async () => {
    const rows: string[] = [];
    for (const [name, save] of Object.entries(savers)) {
      const bytes = await save();
      for (const to of releases.filter((one) => one < Number(name[0]))) {
        const computer = scrambled(to);
        const before = plain(computer);
        let row: (string | number | undefined)[];
        try {
          await computer.kernel.load(bytes);
          row = ["loads"];
        } catch (error) {
          if (!isMigrationError(error)) throw error;
          const { code, location, expected: wanted, found } = error;
          expect(location.side).toBe("destination");
          expect(plain(computer), "a refused save changes nothing").toEqual(before);
          row = [`\`${code}\``, location.section, location.path, location.offset, wanted, found];
        }
        rows.push(`| ${[name, to, ...Array.from({ length: 6 }, (_, i) => row[i] ?? "")].join(" | ")} |`);
      }
    }
    const shown = /<!-- downgrades -->\n\n?\|.*\n\|.*\n([\s\S]*?)\n\n/.exec(guide)?.[1]?.split("\n");
    expect(shown?.map((line) => line.replace(/ +/g, " "))).toEqual(rows.map((line) => line.replace(/ +/g, " ")));
  });

  it("that loads brings every value", async () => {
    const computer = await loaded(1, await saveOf(quiet()));
    const was = expected(2, 1);
    expect(plain(computer)).toEqual({ ...was, modem: { online: false, dialled: 0 } });
  });
});

it("a raised minimumVersion gives old saves up, by name", () => {
  const { minimumVersion: _, ...rest } = clockChip;
  const strict = { ...rest, minimumVersion: 2 };
  const bytes = Uint8Array.of(0, 0, 0, 1, 2, 19);
  expect(decodeState(clockChip, bytes, { version: 1 })).toEqual({ seconds: 1, control: 2, century: 19 });
  expect(() => decodeState(strict, bytes, { version: 1 })).toThrow(
    'SECTION_VERSION: "clock-chip" cannot be read in this version; expected 2; found 1',
  );
});

describe("the guide", () => {
  it("shows the example as it is", () => {
    const shown = [...guide.matchAll(/<!-- (release-\d|history|computer)\.ts -->\n```ts\n([\s\S]*?)```/g)];
    expect(shown.length).toBeGreaterThanOrEqual(10);
    expect(new Set(shown.map(([, file]) => file))).toEqual(
      new Set(["release-2", "release-3", "release-4", "release-5", "history"]),
    );
    for (const [, file, text] of shown) {
      const lines = (text as string).trimEnd().split("\n");
      const source = readFileSync(`${examples}${file}.ts`, "utf8");
      // A piece from the middle of a class is shown without its indentation.
      const indents = ["", "  ", "    "].map((indent) => lines.map((line) => line && indent + line).join("\n"));
      expect(
        indents.some((piece) => source.includes(`\n${piece}\n`)),
        `${file}.ts has not: ${text}`,
      ).toBe(true);
    }
    expect(guide.match(/```ts/g)?.length).toBe(shown.length);
  });
});
