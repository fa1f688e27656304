// RTAS as the guest reaches it: a doorbell that is told where an argument block lies, and big-endian words in RAM.
// Sources: PAPR 7.2.7 (argument call buffer), 7.2.8 (return codes), 13.5.3.5 (ibm,configure-connector).
import { isMigrationError } from "@godwit/core";
import type { GuestMemory } from "@godwit/ram-dirty-tracker";
import { cells, type RtasCall, rtasStatus, type SpaprDrcOffer } from "@godwit/spapr-drc-ccs";
import {
  RTAS_CALL,
  RTAS_TOKEN_CHECK_EXCEPTION,
  RTAS_TOKEN_CONFIGURE_CONNECTOR,
  RTAS_TOKEN_EVENT_SCAN,
  RTAS_TOKEN_GET_SENSOR_STATE,
  RTAS_TOKEN_SET_INDICATOR,
} from "../memory-map.ts";
import type { Region } from "./system-bus.ts";

const calls: Readonly<Record<number, RtasCall>> = {
  [RTAS_TOKEN_SET_INDICATOR]: "set-indicator",
  [RTAS_TOKEN_GET_SENSOR_STATE]: "get-sensor-state",
  [RTAS_TOKEN_CONFIGURE_CONNECTOR]: "ibm,configure-connector",
  [RTAS_TOKEN_CHECK_EXCEPTION]: "check-exception",
  [RTAS_TOKEN_EVENT_SCAN]: "event-scan",
};

const headBytes = 12;
/** PAPR's limit for arguments and results together. */
const maxWords = 16;
/** "Extended delay": ask again in a millisecond. */
export const rtasBusy = 9900;

export class Rtas implements Region {
  readonly #memory: GuestMemory;
  readonly #drc: SpaprDrcOffer;
  /** Tokens that firmware still has ready, by connector; without an entry, all of them. */
  readonly #ready = new Map<number, number>();

  constructor(memory: GuestMemory, drc: SpaprDrcOffer) {
    this.#memory = memory;
    this.#drc = drc;
  }

  /**
   * Firmware has so many more tokens of a connector's tree ready, and answers "busy" behind them; `undefined`: as many as
   * there are. How fast firmware is belongs to the host, and does not travel.
   */
  ready(connector: number, tokens: number | undefined): void {
    if (tokens === undefined) this.#ready.delete(connector);
    else this.#ready.set(connector, tokens);
  }

  read(): undefined {
    return undefined;
  }

  write(offset: number, size: number, address: number): boolean {
    if (offset !== RTAS_CALL || size !== 4) return false;
    const head = this.#words(address, headBytes / 4);
    if (head === undefined) return false;
    const [token = 0, argumentCount = 0, resultCount = 0] = head;
    if (argumentCount + resultCount > maxWords) return false;
    const given = this.#words(address + headBytes, argumentCount + resultCount);
    if (given === undefined) return false;
    const results = this.#call(token, given.slice(0, argumentCount)).slice(0, resultCount);
    this.#memory.write(address + headBytes + 4 * argumentCount, cells(...results));
    return true;
  }

  #call(token: number, words: readonly number[]): number[] {
    const call = calls[token];
    if (call === undefined) return [rtasStatus.PARAMETER];
    if (call === "ibm,configure-connector") return this.#configure(words);
    return this.#answer(call, words);
  }

  #configure(words: readonly number[]): number[] {
    const [connector = 0] = this.#words(words[0] ?? 0, 1) ?? [];
    const left = this.#ready.get(connector);
    if (left === 0) return [rtasBusy];
    const answer = this.#answer("ibm,configure-connector", words);
    if (left !== undefined && (answer[0] ?? 0) >= 0) this.#ready.set(connector, left - 1);
    return answer;
  }

  /** A buffer that is not in RAM is a wrong argument. */
  #answer(call: RtasCall, words: readonly number[]): number[] {
    return inRam(() => this.#drc.rtas(call, words)) ?? [rtasStatus.PARAMETER];
  }

  /** Undefined where there is no RAM. */
  #words(address: number, count: number): number[] | undefined {
    const bytes = inRam(() => this.#memory.read(address, 4 * count));
    if (bytes === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: count }, (_, index) => view.getUint32(4 * index));
  }
}

function inRam<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isMigrationError(error) && error.code === "MEMORY_UNMAPPED") return undefined;
    throw error;
  }
}
