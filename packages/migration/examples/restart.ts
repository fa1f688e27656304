import * as fs from "node:fs/promises";
import { answerOwnership, type Channel, type HostClock, mayRun, resolveOwnership } from "@godwit/migration";
import { fileOwnershipLog } from "@godwit/migration/ownership-file";

/** A process starts: may it run this machine? Where its record says `released`, the destination is asked. */
export async function restart(machine: string, folder: string, clock: HostClock, connect: () => Promise<Channel>) {
  const log = fileOwnershipLog({ fs, folder });
  const record = await log.read(machine);
  if (mayRun(record)) return "run what was saved";
  if (record?.state !== "released") return "it is not ours";
  const { outcome } = await resolveOwnership({ machine, log, clock, connect, copy: "gone" });
  return outcome;
}

/** A destination answers one question, whether it took part in the hand-over itself or is a new process. */
export function answer(folder: string, clock: HostClock, accept: () => Promise<Channel>, holds: () => boolean) {
  return answerOwnership({ log: fileOwnershipLog({ fs, folder }), clock, accept, holds });
}
