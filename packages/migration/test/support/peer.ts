// A peer that says what a test tells it to, true or not.
import type { Channel } from "@godwit/transport";
import { type ControlKind, type ControlMessage, decodeControl, encodeControl } from "../../src/godwit/control.ts";
import { loadDigests } from "../../src/godwit/digest.ts";
import { FrameReader, FrameWriter, frameType } from "../../src/godwit/framing.ts";
import { encodeMagic, MagicReader } from "../../src/godwit/magic.ts";
import type { ChannelSum } from "../../src/godwit/stream-sum.ts";
import { concat } from "./machine.ts";

/** Loaded once, so that no test's time depends on it. */
export const digests = await loadDigests();

export class ScriptedPeer {
  readonly heard: ControlMessage[] = [];
  readonly stream: Uint8Array[] = [];
  readonly raw: Uint8Array[] = [];
  streamBytes = 0;
  isClosed = false;
  readonly received = digests.stream();
  readonly sent = digests.stream();
  readonly #writer = new FrameWriter(digests);
  readonly #channel: Channel;
  readonly #waiting: { kind: ControlKind; resolve(message: ControlMessage): void }[] = [];

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Begins to read. A peer that never does is one that is stuck. */
  read(): void {
    const magic = new MagicReader();
    let isOpen = false;
    const frames = new FrameReader(digests, {
      control: (payload) => this.#hear(decodeControl(payload)),
      stream: (bytes, digest) => {
        this.received.add(bytes.length, digest);
        this.stream.push(bytes.slice());
        this.streamBytes += bytes.length;
      },
    });
    void (async () => {
      try {
        for await (const chunk of this.#channel.receive()) {
          this.raw.push(chunk.slice());
          const rest = isOpen ? chunk : magic.push(chunk);
          if (rest === undefined) continue;
          isOpen = true;
          frames.push(rest);
        }
      } catch {
        // The engine under test broke the connection; tests look at what it says about that.
      }
      this.isClosed = true;
    })();
  }

  hear<K extends ControlKind>(kind: K): Promise<Extract<ControlMessage, { kind: K }>> {
    const at = this.heard.findIndex((message) => message.kind === kind);
    const [message] = at < 0 ? [] : this.heard.splice(at, 1);
    if (message !== undefined) return Promise.resolve(message as Extract<ControlMessage, { kind: K }>);
    return new Promise((resolve) => {
      this.#waiting.push({ kind, resolve: (found) => resolve(found as Extract<ControlMessage, { kind: K }>) });
    });
  }

  magic(): Promise<void> {
    return this.#channel.send(encodeMagic());
  }

  say(message: ControlMessage): Promise<void> {
    return this.#channel.send(this.#writer.control(encodeControl(message)));
  }

  sendStream(bytes: Uint8Array): Promise<void> {
    return this.sendFrame(frameType.stream, bytes);
  }

  sendFrame(type: number, bytes: Uint8Array): Promise<void> {
    const { header, digest } = this.#writer.head(type, bytes);
    if (type === frameType.stream) this.sent.add(bytes.length, digest);
    return this.#channel.send(concat([header, bytes]));
  }

  /** Of the stream that it has sent. */
  sums(): ChannelSum[] {
    return [{ channel: 0, bytes: this.sent.bytes, digest: this.sent.value() }];
  }

  send(bytes: Uint8Array): Promise<void> {
    return this.#channel.send(bytes);
  }

  die(): void {
    this.#channel.abort(new Error("the process is gone"));
  }

  /** What a true destination says up to its consent. */
  async accept(): Promise<void> {
    this.read();
    await this.hear("offer");
    await this.magic();
    await this.say({ kind: "accepted", heartbeatMs: 7500, warnings: [] });
  }

  /** Says that it received everything, round by round, until the stream is over. */
  async receiveAll(): Promise<ChannelSum[]> {
    const stopped = this.hear("stream-end");
    let isStopped = false;
    void stopped.then(() => {
      isStopped = true;
    });
    while (!isStopped) {
      await Promise.race([this.hear("round"), stopped]);
      if (!isStopped) await this.say({ kind: "received", bytes: this.streamBytes });
    }
    return [{ channel: 0, bytes: this.received.bytes, digest: this.received.value() }];
  }

  #hear(message: ControlMessage): void {
    const at = this.#waiting.findIndex(({ kind }) => kind === message.kind);
    const [taker] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (taker === undefined) this.heard.push(message);
    else taker.resolve(message);
  }
}
