// A log that answers late: what was begun before a cancel must not come after what the cancel did.
import { memoryOwnershipLog, type OwnershipLog } from "@godwit/migration";
import { expect, it } from "vitest";
import { SourceOwnership } from "../../src/ownership/holder.ts";
import { ManualClock, turn } from "../support/clock.ts";

const machine = "00112233445566778899aabbccddeeff";

/** Each answer waits until it is let go. */
function slowLog(log: OwnershipLog) {
  const waiting: (() => void)[] = [];
  const later = <T>(work: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => waiting.push(() => work().then(resolve, reject)));
  return {
    log: {
      read: (of: string) => later(() => log.read(of)),
      write: (...records: Parameters<OwnershipLog["write"]>) => later(() => log.write(...records)),
    },
    async next(): Promise<void> {
      await turn();
      waiting.shift()?.();
      await turn();
    },
  };
}

it.each([0, 1, 2])("a take-back after %d answers of the release leaves the machine owned", async (answers) => {
  const durable = memoryOwnershipLog([{ machine, epoch: 1, state: "owned" }]);
  const { log, next } = slowLog(durable);
  const ownership = new SourceOwnership({ machine, log }, { clock: new ManualClock(), timeoutMs: 1000 });
  const offering = ownership.offer();
  await next();
  await next();
  expect(await offering).toEqual({ machine, epoch: 2 });
  const releasing = ownership.release();
  for (let answer = 0; answer < answers; answer++) await next();
  const back = ownership.takeBack();
  for (let answer = answers; answer < 4; answer++) await next();
  await Promise.all([releasing, back]);
  expect(await durable.read(machine)).toEqual({ machine, epoch: 3, state: "owned" });
});
