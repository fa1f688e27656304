// A destination's record where the source knows nothing of ownership, as QEMU does; and where there is no record at all.
import { memoryOwnershipLog, type OwnershipRecord } from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { DestinationOwnership, SourceOwnership } from "../../src/ownership/holder.ts";
import { ManualClock } from "../support/clock.ts";

const machine = "00112233445566778899aabbccddeeff";
const at = (state: OwnershipRecord["state"], epoch: number): OwnershipRecord => ({ machine, epoch, state });
const host = { clock: new ManualClock(), timeoutMs: 1000 };

describe("a machine from a source that offers no epoch", () => {
  it.each<[OwnershipRecord[], number]>([
    [[], 1],
    [[at("released", 3)], 5],
    [[at("refused", 4)], 6],
  ])("is taken in one that is newer than all that was seen here: %j", async (records, epoch) => {
    const log = memoryOwnershipLog(records);
    const ownership = new DestinationOwnership({ machine, log }, host);
    await ownership.accept();
    expect(await log.read(machine)).toEqual(at("accepted", epoch));
    await ownership.own();
    expect(await log.read(machine)).toEqual(at("owned", epoch));
    expect(await ownership.refuse()).toBe("owned");
    expect(host.clock.timers).toBe(0);
  });

  it("is refused where it is owned already, or has no name", async () => {
    const owned = memoryOwnershipLog([at("owned", 2)]);
    const twice = new DestinationOwnership({ machine, log: owned }, host);
    await expect(twice.accept()).rejects.toMatchObject({ code: "OWNERSHIP_EPOCH", location: { side: "destination" } });
    expect(await twice.refuse()).toBe("never-accepted");
    expect(await owned.read(machine)).toEqual(at("owned", 2));
    const nameless = new DestinationOwnership({ log: memoryOwnershipLog() }, host);
    await expect(nameless.accept()).rejects.toMatchObject({ code: "OWNERSHIP_MACHINE" });
    expect(() => new DestinationOwnership({ machine: "m", log: owned }, host)).toThrow(
      expect.objectContaining({ code: "OWNERSHIP_MACHINE" }),
    );
  });
});

describe("without a record", () => {
  it("a destination's word is good until it owns the machine", async () => {
    const ownership = new DestinationOwnership(undefined, host);
    expect(await ownership.misfits(undefined)).toEqual([]);
    await ownership.accept();
    expect(await ownership.refuse()).toBe("refused");
    await ownership.own();
    expect(await ownership.refuse()).toBe("owned");
  });

  it("a source offers nothing, and its steps are done at once", async () => {
    const ownership = new SourceOwnership(undefined, host);
    expect(await ownership.offer()).toBeUndefined();
    await ownership.release();
    await ownership.takeBack();
  });
});
