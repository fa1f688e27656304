// What the engine asks of RAM, for a machine whose handler is made when its list of blocks has come.
import { MigrationError } from "@godwit/core";
import type { ListedBlock, RamOffer } from "@godwit/ram-dirty-tracker";
import type { ReceiveModes, SendModes } from "./vault-ram.ts";

/** Asked before a machine has come, it has no blocks; post-copy's parts are `RAM_ORDER` then. */
export type VaultRamOffer = Pick<
  RamOffer,
  "pageBytes" | "sendBy" | "receiveBy" | "postcopySource" | "postcopyDestination" | "statistics" | "multifd"
> & { readonly blocks: readonly ListedBlock[] };

const defaultPageBytes = 4096;

export class LatestRam implements VaultRamOffer {
  receive: ReceiveModes = {};
  send: SendModes = {};
  /** Of the handler that was made last. */
  latest: RamOffer | undefined;
  readonly postcopySource: RamOffer["postcopySource"];
  readonly postcopyDestination: RamOffer["postcopyDestination"];
  readonly #expectIdle: () => void;

  constructor(expectIdle: () => void) {
    this.#expectIdle = expectIdle;
    const source = () => this.#made().postcopySource;
    this.postcopySource = {
      discards: () => source().discards(),
      request: (idstr, start, length) => source().request(idstr, start, length),
      get requestedPages() {
        return source().requestedPages;
      },
      urgent: (out, budgetBytes) => source().urgent(out, budgetBytes),
      urgentEnd: (out) => source().urgentEnd(out),
      received: (idstr, bitmap) => source().received(idstr, bitmap),
    };
    const destination = () => this.#made().postcopyDestination;
    this.postcopyDestination = {
      discard: (idstr, ranges) => destination().discard(idstr, ranges),
      listen: (onMissing, nowMs) => destination().listen(onMissing, nowMs),
      retell: () => destination().retell(),
      refuseWaits: () => destination().refuseWaits(),
      received: (idstr) => destination().received(idstr),
      get missingPages() {
        return destination().missingPages;
      },
      urgent: () => destination().urgent(),
      arrived: (idstr, offset) => destination().arrived(idstr, offset),
      statistics: () => destination().statistics(),
    };
  }

  get pageBytes(): number {
    return this.latest?.pageBytes ?? defaultPageBytes;
  }

  get blocks(): readonly ListedBlock[] {
    return this.latest?.blocks ?? [];
  }

  sendBy(modes: SendModes): void {
    this.#expectIdle();
    this.send = modes;
  }

  receiveBy(modes: ReceiveModes): void {
    this.#expectIdle();
    this.receive = modes;
  }

  statistics(): ReturnType<RamOffer["statistics"]> {
    return this.latest?.statistics() ?? { sent: undefined, received: undefined };
  }

  multifd(): ReturnType<RamOffer["multifd"]> {
    return this.latest?.multifd();
  }

  #made(): RamOffer {
    if (this.latest !== undefined) return this.latest;
    throw new MigrationError("RAM_ORDER", "no RAM has come into this vault", { section: "ram/0" });
  }
}
