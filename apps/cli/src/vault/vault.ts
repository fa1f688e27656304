// The vault: holds whichever machine arrives, without knowing it, and hands it on. It never runs.
import {
  contract,
  type IncomingAttempt,
  type IncomingInit,
  type Manifest,
  MigrationError,
  type OutgoingAttempt,
} from "@godwit/core";
import { manifestOf, parseVmdesc, type SectionHead, type Vmdesc } from "@godwit/core/stream";
import { type Catalogue, catalogueWith } from "../model/catalogue.ts";
import { entryOf, type HeldEntry, type VaultContent } from "./content.ts";
import { LatestRam, type VaultRamOffer } from "./ram-offer.ts";
import { type StreamEnd, VaultIncoming } from "./vault-incoming.ts";
import { VaultOutgoing } from "./vault-outgoing.ts";

export interface VaultOptions {
  /** The most RAM that a machine may bring. Bytes; the default is 4 GiB. */
  readonly ramBytes?: number;
  /** The most of everything else, and of what waits for the vmdesc at the end. Bytes; the default is 64 MiB. */
  readonly holdBytes?: number;
  /**
   * Of the same QEMU and machine: delimits sections as they come. In post-copy no stream brings one of its own: without
   * it, the devices are carried as one run.
   */
  readonly vmdesc?: Vmdesc | undefined;
  /** What describes sections; our own plugins' descriptions, without it. */
  readonly catalogue?: Catalogue;
}

/** What can be asked of an attempt beside what the engine asks. */
export interface VaultAttempt extends IncomingAttempt {
  readonly streamEnd: StreamEnd;
  readonly isPackaged: boolean;
}

/** A machine for `@godwit/migration`, in either direction and with either wire. */
export interface Vault {
  /** What is held, section by section; empty before a machine has come. */
  readonly held: readonly HeldEntry[];
  readonly isEmpty: boolean;
  /** The memory that is here, by block; a view, not to be written to. */
  readonly memory: ReadonlyMap<string, Uint8Array>;
  /** For the engine's option `ram`: of the machine that is here, or is coming. */
  readonly ram: VaultRamOffer;
  manifest(): Manifest;
  /** None: it takes whatever comes. */
  misfits(): readonly [];
  /** `ATTEMPT_ACTIVE`; `VAULT_FULL` while it holds a machine that nobody else is known to have. */
  incoming(init?: IncomingInit): VaultAttempt;
  /**
   * `VAULT_EMPTY`, `ATTEMPT_ACTIVE`; `VAULT_GIVEN` for a machine that somebody else has, or may have: it is not given
   * twice.
   */
  outgoing(): OutgoingAttempt;
  quiesce(): Promise<void>;
  /** It is being given away. */
  pause(): void;
  /**
   * It is this vault's (again). The engine says so where nobody else has it; behind `completed` and `in-doubt` only
   * somebody can who has looked.
   */
  resume(): void;
  /** Forgets the machine, be it the only one. `ATTEMPT_ACTIVE`. */
  clear(): void;
}

const defaultRamBytes = 4 * 2 ** 30;
const defaultHoldBytes = 64 << 20;

/** `OPTION_INVALID` for a bound that is none. */
export function createVault(options: VaultOptions = {}): Vault {
  return new MachineVault(options);
}

class MachineVault implements Vault {
  readonly #catalogue: Catalogue;
  readonly #vmdesc: Vmdesc | undefined;
  readonly #ramBytes: number;
  readonly #holdBytes: number;
  #content: VaultContent | undefined;
  readonly ram: LatestRam;
  /** An attempt is under way: pages may still come, or are being sent. */
  #active = false;
  /** Somebody else has the machine, or may have it. */
  #isGiven = false;
  /** Somebody else is known to have it. */
  #isTaken = false;

  constructor({ ramBytes, holdBytes, vmdesc, catalogue }: VaultOptions) {
    this.#ramBytes = bound("ramBytes", ramBytes, defaultRamBytes);
    this.#holdBytes = bound("holdBytes", holdBytes, defaultHoldBytes);
    this.#vmdesc = vmdesc;
    this.#catalogue = catalogue ?? catalogueWith();
    this.ram = new LatestRam(() => this.#expectIdle());
  }

  get isEmpty(): boolean {
    return this.#content === undefined;
  }

  get held(): readonly HeldEntry[] {
    const content = this.#content;
    if (content === undefined) return [];
    const { setup, parts, ends, devices } = content;
    return [...setup, ...parts, ...ends, ...devices].flatMap((one) => (one === "ram" ? [] : [entryOf(one)]));
  }

  get memory(): ReadonlyMap<string, Uint8Array> {
    return this.#content?.ram.memory.memory ?? new Map();
  }

  /** What is held; that a Godwit source can compare its own with. */
  manifest(): Manifest {
    const content = this.#content;
    const own = content?.vmdesc === undefined ? undefined : manifestOf(parseVmdesc(content.vmdesc));
    if (own !== undefined) return own;
    const heads = content === undefined ? [] : [...headsOf(content)];
    return {
      contract,
      machineType: content?.configuration.machineType ?? "",
      sections: heads.map(({ idstr, instance, version }) => ({
        idstr,
        instance,
        version,
        minimumVersion: version,
        subsections: [],
        optional: false,
      })),
      reads: [],
      kinds: [],
      ramBlocks: content?.ram.memory.blocks.map(({ idstr, length }) => ({ idstr, bytes: length })) ?? [],
      plugins: [],
    };
  }

  misfits(): readonly [] {
    return [];
  }

  incoming(init: IncomingInit = {}): VaultAttempt {
    this.#expectIdle();
    if (this.#content !== undefined && !this.#isTaken) {
      const detail = "this vault holds a machine that nobody else is known to have; it is dropped by clear()";
      throw new MigrationError("VAULT_FULL", detail, { side: "destination" });
    }
    this.#begin();
    return new VaultIncoming({
      ...init,
      catalogue: this.#catalogue,
      vmdesc: this.#vmdesc,
      ramBytes: this.#ramBytes,
      holdBytes: this.#holdBytes,
      receive: this.ram.receive,
      listed: (offer) => {
        this.ram.latest = offer;
      },
      adopt: (content) => {
        this.#content = content;
        this.#isGiven = false;
        this.#isTaken = false;
      },
      lost: () => {
        this.#content = undefined;
      },
      over: () => {
        this.#active = false;
      },
    });
  }

  outgoing(): OutgoingAttempt {
    const content = this.#content;
    if (content === undefined) {
      throw new MigrationError("VAULT_EMPTY", "no machine has come into this vault", { side: "source" });
    }
    this.#expectIdle();
    if (this.#isGiven) {
      const detail = "this machine was given away, or may have been; it is given again behind resume()";
      throw new MigrationError("VAULT_GIVEN", detail, { side: "source" });
    }
    this.#begin();
    const { handler, offer } = content.ram.memory.sender(this.ram.send);
    this.ram.latest = offer;
    return new VaultOutgoing(content, handler, (completed) => {
      this.#active = false;
      this.#isTaken = completed;
    });
  }

  quiesce(): Promise<void> {
    return Promise.resolve();
  }

  // A machine in a vault stands, whatever is asked of it; what counts is whose it is.
  pause(): void {
    this.#isGiven = true;
  }

  resume(): void {
    this.#isGiven = false;
    this.#isTaken = false;
  }

  clear(): void {
    this.#expectIdle();
    this.#content = undefined;
  }

  #begin(): void {
    this.#active = true;
  }

  #expectIdle(): void {
    if (!this.#active) return;
    throw new MigrationError("ATTEMPT_ACTIVE", "the vault takes or gives a machine already", {});
  }
}

function* headsOf({ setup, devices, ram }: VaultContent): Iterable<SectionHead> {
  for (const one of [...setup, ...devices]) {
    if (one === "ram") yield ram.head;
    else if (one.how !== "undelimited") yield one.head;
  }
}

function bound(name: string, value: number | undefined, byDefault: number): number {
  const chosen = value ?? byDefault;
  if (Number.isSafeInteger(chosen) && chosen > 0) return chosen;
  throw new MigrationError("OPTION_INVALID", `${name} must be a whole number above zero`, {
    side: "define",
    found: String(chosen),
  });
}
