// A peer that says what a test tells it to, true or not.
import type { Channel } from "@godwit/transport";
import { type ControlKind, type ControlMessage, decodeControl, encodeControl } from "../../src/control.ts";
import { loadDigest } from "../../src/digest.ts";
import { controlFrame, FrameReader, frameHeaderBytes, frameType, writeFrameHeader } from "../../src/framing.ts";
import { encodeMagic, MagicReader } from "../../src/magic.ts";

/** Loaded once, so that no test's time depends on it. */
export const newDigest = await loadDigest();

export class ScriptedPeer {
  readonly heard: ControlMessage[] = [];
  readonly stream: Uint8Array[] = [];
  readonly raw: Uint8Array[] = [];
  streamBytes = 0;
  isClosed = false;
  readonly #channel: Channel;
  readonly #waiting: { kind: ControlKind; resolve(message: ControlMessage): void }[] = [];

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Begins to read. A peer that never does is one that is stuck. */
  read(): void {
    const magic = new MagicReader();
    let isOpen = false;
    const frames = new FrameReader({
      control: (payload) => this.#hear(decodeControl(payload)),
      stream: (bytes) => {
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
    return this.#channel.send(controlFrame(encodeControl(message)));
  }

  sendStream(bytes: Uint8Array): Promise<void> {
    const frame = new Uint8Array(frameHeaderBytes + bytes.length);
    writeFrameHeader(frame, frameType.stream, bytes.length);
    frame.set(bytes, frameHeaderBytes);
    return this.#channel.send(frame);
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
  async receiveAll(): Promise<{ bytes: number; digest: string }> {
    const stopped = this.hear("stream-end");
    let isStopped = false;
    void stopped.then(() => {
      isStopped = true;
    });
    while (!isStopped) {
      await Promise.race([this.hear("round"), stopped]);
      if (!isStopped) await this.say({ kind: "received", bytes: this.streamBytes });
    }
    const digest = newDigest();
    for (const bytes of this.stream) digest.update(bytes);
    return { bytes: digest.bytes, digest: digest.value() };
  }

  #hear(message: ControlMessage): void {
    const at = this.#waiting.findIndex(({ kind }) => kind === message.kind);
    const [taker] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (taker === undefined) this.heard.push(message);
    else taker.resolve(message);
  }
}
