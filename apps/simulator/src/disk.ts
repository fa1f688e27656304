// The disk beside a process: its ownership records outlive it. A write that was not answered yet may be lost with it, or not.
import { memoryOwnershipLog, type OwnershipLog, type OwnershipRecord } from "@godwit/migration";
import { never, type SimulatedProcess } from "./process.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";

export interface DiskInit {
  readonly name: string;
  readonly trace: Trace;
  readonly random: Random;
  /** The longest that a write takes. Milliseconds. */
  readonly writeMs: number;
}

export class SimulatedDisk {
  readonly #init: DiskInit;
  /** What is durable. The record's own rules, and that nobody writes over what he has not read, are the log's. */
  readonly #durable = memoryOwnershipLog();

  constructor(init: DiskInit) {
    this.#init = init;
  }

  read(machine: string): Promise<OwnershipRecord | undefined> {
    return this.#durable.read(machine);
  }

  /** The disk as this process sees it. A killed process neither reads nor writes, nor hears of what it wrote. */
  logOf(process: SimulatedProcess): OwnershipLog {
    const { random, writeMs, trace, name } = this.#init;
    const later = <T>(work: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        process.clock.after(random.between(0, writeMs), () => {
          work().then(
            (value) => process.run(() => resolve(value)),
            (error: unknown) => process.run(() => reject(error)),
          );
        });
      });
    return {
      read: (machine) => (process.step() ? later(() => this.#durable.read(machine)) : never()),
      write: (record, previous) => {
        if (!process.step()) return never();
        let isDone = false;
        const put = async (): Promise<void> => {
          isDone = true;
          await this.#durable.write(record, previous);
          trace.add(`${name}: ${record.state} ${record.epoch}${record.offered ? ", offered" : ""} is durable`);
        };
        process.onEnd(() => {
          if (!isDone && random.chance(0.5)) void put().catch(() => {});
        });
        return later(put);
      },
    };
  }
}
