// Post-copy: words of a channel program, its data, operands and indicators may not have come yet.
import { isMigrationError, MigrationError } from "@godwit/core";
import type { Dma } from "@godwit/ram-dirty-tracker";
import { describe, expect, it } from "vitest";
import { echo } from "./support/echo.ts";
import { done, flag, Guest, place, status } from "./support/guest.ts";
import { ccwMachine } from "./support/machine.ts";

const pageBytes = 64;

/** A guest whose device finds some pages absent; the guest's own hands reach all of them. */
function incomplete() {
  const away = new Set<number>();
  const waiting: { readonly page: number; resolve(): void }[] = [];
  const check = (address: number, length: number): void => {
    for (const page of away) {
      if (address < page + pageBytes && page < address + length)
        throw new MigrationError("PAGE_ABSENT", "not yet", { path: "ram", offset: page });
    }
  };
  const through = (dma: Dma): Dma => ({
    ...dma,
    read(address, length) {
      check(address, length);
      return dma.read(address, length);
    },
    write(address, bytes) {
      check(address, bytes.length);
      dma.write(address, bytes);
    },
    postcopy: {
      get active() {
        return away.size > 0;
      },
      demand: check,
      whenPresent: (error) =>
        new Promise((resolve) => {
          waiting.push({ page: (error as MigrationError).location.offset ?? -1, resolve });
        }),
    },
  });
  const guest = new Guest(ccwMachine({}, echo(), through));
  return {
    guest,
    away,
    async give(page: number): Promise<void> {
      away.delete(page);
      for (const one of waiting) if (one.page === page) one.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error.code;
    throw error;
  }
  return undefined;
}

const readStatus = 0x72;
const writeStatus = 0x31;
const noOperation = 0x03;

describe("a channel program", () => {
  /** Three commands, each word and each byte of data on a page of its own; transfers lead from one to the next. */
  const laidOut = () => {
    const all = incomplete();
    const { guest } = all;
    guest.up();
    guest.machine.log.length = 0;
    const words = [0x1000, 0x1080, 0x1100];
    const data = [0x1180, 0x1200, 0x1280];
    const codes = [readStatus, writeStatus, readStatus];
    codes.forEach((code, i) => {
      const at = words[i] as number;
      const chain = i < 2 ? flag.chain : 0;
      guest.program(
        [
          { code, flags: chain, count: 1, address: data[i] as number },
          { code: 0x08, address: words[i + 1] ?? 0 },
        ],
        at,
      );
    });
    // FAILED, which no other command sets.
    guest.poke(data[1] as number, [0x8f]);
    return { ...all, words, data };
  };

  it("goes on where a page was absent, and does each command once", async () => {
    const { guest, away, give, words, data } = laidOut();
    for (const page of [...words, ...data]) away.add(page);
    expect(guest.start({ at: 0x1000 })).toBe(0);
    // Busy: nothing to be told, and no second program.
    expect([guest.machine.log, guest.test().outcome, guest.start({ at: 0x1000 })]).toEqual([[], 1, 2]);
    for (const page of [words[0], data[0], words[1], data[1], words[2]]) {
      await give(page as number);
      expect(guest.machine.log).toEqual([]);
    }
    expect(guest.peek(data[0] as number, 1)).toEqual([0x0f]);
    await give(data[2] as number);
    expect(guest.machine.log).toHaveLength(1);
    expect(guest.test()).toMatchObject({ outcome: 0, dstat: 0x0c, cstat: 0, count: 0 });
    expect(guest.peek(data[2] as number, 1)).toEqual([0x8f]);
  });

  it("ends as one whose memory was there", async () => {
    const whole = laidOut();
    whole.guest.start({ at: 0x1000 });
    const late = laidOut();
    const pages = [...late.words, ...late.data];
    for (const page of pages) late.away.add(page);
    late.guest.start({ at: 0x1000 });
    for (const page of pages.toReversed()) await late.give(page);
    expect(late.guest.test()).toEqual(whole.guest.test());
    expect(late.guest.machine.log).toEqual(whole.guest.machine.log);
  });

  it("gives no part of its data while another part has not come", async () => {
    const { guest, away, give } = incomplete();
    guest.up();
    const [first, second] = [0x1180, 0x1200];
    away.add(second);
    const senseId = 0xe4;
    guest.program([
      { code: senseId, flags: flag.chainData, count: 4, address: first },
      { code: 0, count: 3, address: second },
    ]);
    expect(guest.start()).toBe(0);
    expect(guest.peek(first, 4)).toEqual([0, 0, 0, 0]);
    await give(second);
    expect([guest.peek(first, 3), guest.test().outcome]).toEqual([[0xff, 0x38, 0x32], 0]);
  });

  it.each(["clear", "halt", "reset"] as const)("does not go on after a %s", async (how) => {
    const { guest, away, give, words, data } = laidOut();
    away.add(words[1] as number);
    guest.start({ at: 0x1000 });
    expect(guest.peek(data[0] as number, 1)).toEqual([0x0f]);
    if (how === "clear") guest.sch.clearSubchannel();
    else if (how === "halt") guest.sch.haltSubchannel();
    else guest.machine.offer.reset();
    await give(words[1] as number);
    expect(guest.machine.offer.device.status & 0x80).toBe(0);
    expect(guest.peek(data[2] as number, 1)).toEqual([0]);
  });
});

describe("an I/O instruction", () => {
  it("is begun anew where its operand had not come", async () => {
    const { guest, away, give } = incomplete();
    guest.up();
    guest.machine.log.length = 0;
    guest.program([{ code: noOperation }]);
    away.add(place.orb);
    expect(codeOf(() => guest.start())).toBe("PAGE_ABSENT");
    expect([guest.machine.log, guest.stored().ctrl]).toEqual([[], 0]);
    await give(place.orb);
    expect(guest.start()).toBe(0);
    away.add(place.irb);
    expect(codeOf(() => guest.test())).toBe("PAGE_ABSENT");
    await give(place.irb);
    // Its status has not been taken by the one that failed.
    const response = guest.test();
    expect(response.outcome).toBe(0);
    expect(response.ctrl & done).toBe(done);
    expect(guest.test().outcome).toBe(1);
  });
});

describe("indicators that have not come", () => {
  it("are set when they have, in order, and told once", async () => {
    const { guest, away, give } = incomplete();
    guest.up({ first: 6 });
    guest.machine.log.length = 0;
    away.add(place.indicators);
    guest.send(0, [1, 2]);
    guest.send(1, [3]);
    expect([guest.machine.log, guest.peek(place.indicators, 2)]).toEqual([[], [0, 0]]);
    // What the device had to do is done.
    expect([guest.take(0), guest.take(1)]).toEqual([[[2, 3]], [[4]]]);
    await give(place.indicators);
    expect([guest.machine.log, guest.peek(place.indicators, 1), guest.peek(place.indicators + 16, 1)]).toEqual([
      ["adapter 5"],
      [3],
      [1],
    ]);
  });

  it("of a subchannel's own interruptions too; a reset forgets them", async () => {
    const { guest, away, give } = incomplete();
    guest.up({ adapter: false });
    guest.machine.log.length = 0;
    away.add(place.indicators);
    guest.send(0, [1]);
    expect(guest.machine.log).toEqual([]);
    await give(place.indicators);
    expect([guest.machine.log.length, guest.peek(place.indicators + 7, 1)]).toEqual([1, [1]]);
    expect(guest.test().ctrl & status.alert).toBe(status.alert);

    away.add(place.indicators);
    guest.send(0, [2]);
    guest.machine.offer.reset();
    await give(place.indicators);
    expect([guest.machine.log.length, guest.peek(place.indicators + 7, 1)]).toEqual([1, [1]]);
  });
});
