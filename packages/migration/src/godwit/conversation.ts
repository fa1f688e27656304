// One side's talk with its peer: what must be answered in its turn waits here, what concerns the whole attempt ends it.
import { MigrationError, type Side } from "@godwit/core";
import type { BufferedBytes } from "../buffered.ts";
import { migrationError } from "../codes.ts";
import type { Channel, HostClock } from "../host.ts";
import { Inbox, type Interrupt } from "../interrupt.ts";
import { closingGraceMs } from "../options.ts";
import type { ControlKind, ControlMessage } from "./control.ts";
import type { Digests } from "./digest.ts";
import { hintOf, Link } from "./link.ts";

/** Messages that may wait to be read: the protocol never has more than one under way. */
const maxWaitingMessages = 4;

export interface ConversationOptions {
  readonly channel: Channel;
  readonly clock: HostClock;
  readonly side: Side;
  readonly peerTimeoutMs: number;
  readonly interrupt: Interrupt;
  readonly digests: Digests;
  readonly buffered?: BufferedBytes | undefined;
  /** The peer has opened with Godwit's magic. */
  opened?(): void;
  /** A piece of the stream; not to be kept. A promise: nothing more is read until it is kept. */
  stream(bytes: Uint8Array): Promise<void> | undefined;
  /** A message that may come at any time is taken at once; true: it was one. */
  atOnce(message: ControlMessage): boolean;
}

export class Conversation {
  readonly link: Link;
  /** The peer has said itself that its attempt is over: it need not be told of ours. */
  peerGaveUp = false;
  /** And that it will never run the machine, whatever it still hears. */
  peerWillNever = false;
  isOpen = false;
  readonly #options: ConversationOptions;
  readonly #inbox: Inbox<ControlMessage>;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#inbox = new Inbox(options.interrupt);
    this.link = new Link({
      ...options,
      handlers: {
        opened: () => {
          this.isOpen = true;
          options.opened?.();
        },
        stream: (bytes) => options.stream(bytes),
        control: (message) => this.#hear(message),
        lost: (error) => options.interrupt.raise(error),
      },
    });
  }

  /** Sends, unless the attempt ends first. */
  say(message: ControlMessage): Promise<void> {
    return this.#options.interrupt.wait(this.link.send(message));
  }

  /** The next message. `PROTOCOL_ORDER` if it is of another kind. */
  async expect<K extends ControlKind>(...kinds: readonly K[]): Promise<Extract<ControlMessage, { kind: K }>> {
    const message = await this.#inbox.take();
    if (!(kinds as readonly string[]).includes(message.kind)) throw this.#unexpected(message.kind, kinds.join(" or "));
    return message as Extract<ControlMessage, { kind: K }>;
  }

  /**
   * The next message, which the peer owes at once. That it is alive is not enough: if a message of either side was lost
   * on the way, both would wait for ever. `PEER_SILENT`, `PROTOCOL_ORDER`.
   */
  async expectSoon<K extends ControlKind>(...kinds: readonly K[]): Promise<Extract<ControlMessage, { kind: K }>> {
    const { clock, interrupt, peerTimeoutMs, side } = this.#options;
    const detail = `the peer has not said "${kinds.join('" or "')}" for ${peerTimeoutMs} ms`;
    const stop = clock.after(peerTimeoutMs, () => {
      interrupt.raise(migrationError("PEER_SILENT", detail + hintOf(this.isOpen), { side }));
    });
    try {
      return await this.expect(...kinds);
    } finally {
      stop();
    }
  }

  close(lastWord?: ControlMessage): Promise<void> {
    return this.link.close(closingGraceMs, lastWord);
  }

  #hear(message: ControlMessage): void {
    const { side } = this.#options;
    if (message.kind === "alive" || this.#options.atOnce(message)) return;
    if (message.kind === "failed" || message.kind === "cancelled") {
      this.peerWillNever = message.never === true;
      const isFailed = message.kind === "failed";
      this.#hearEnd(isFailed ? MigrationError.fromJSON(message.error) : cancelledBy(otherThan(side)));
    } else if (this.#inbox.waitingMessages >= maxWaitingMessages) throw this.#unexpected(message.kind, "silence");
    else this.#inbox.put(message);
  }

  #hearEnd(error: MigrationError): void {
    this.peerGaveUp = true;
    this.#options.interrupt.raise(error);
  }

  #unexpected(found: string, expected: string): MigrationError {
    const { side } = this.#options;
    return migrationError("PROTOCOL_ORDER", "a message came where it may not", { side, expected, found });
  }
}

function otherThan(side: Side): Side {
  return side === "source" ? "destination" : "source";
}

function cancelledBy(side: Side): MigrationError {
  return migrationError("MIGRATION_CANCELLED", `the ${side} cancelled the migration`, { side });
}
