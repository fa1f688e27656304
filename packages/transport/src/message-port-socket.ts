// A MessagePort in the shape of an open WebSocket, so that both have one protocol of credit and ends. What a port lacks is
// a word of its own: "close CODE", behind which nothing comes, since not every port tells that its other end is closed.
import type { WebSocketEventLike, WebSocketLike } from "./ws-channel.ts";

/** What is used of a MessagePort. */
export interface MessagePortLike {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(
    type: "message" | "messageerror" | "close",
    listener: (event: object) => void,
    options?: object,
  ): void;
  start(): void;
  close(): void;
}

const [open, closed] = [1, 3];
/** What WebSockets say of a connection that is gone without a close, and of one that was closed without a code. */
const [goneCode, unsaidCode] = [1006, 1005];

export interface MessageSocket {
  readonly socket: WebSocketLike;
  /** Lets messages come, once somebody listens. */
  start(): void;
}

export function messageSocket(port: MessagePortLike): MessageSocket {
  let readyState = open;
  const listeners: { readonly type: string; readonly listener: (event: WebSocketEventLike) => void }[] = [];
  const happened = (type: string, event: WebSocketEventLike): void => {
    for (const own of listeners) if (own.type === type) own.listener(event);
  };
  const ended = (code: number): void => {
    if (readyState === closed) return;
    readyState = closed;
    port.close();
    happened("close", { code });
  };
  port.addEventListener("message", (event) => {
    const { data } = event as { readonly data: unknown };
    if (readyState === closed) return;
    const code = typeof data === "string" ? /^close (\d{4})$/.exec(data)?.[1] : undefined;
    if (code !== undefined) ended(Number(code));
    // A view may be of shared memory, or of more than was sent: a peer of ours hands over whole buffers.
    else happened("message", { data: data instanceof ArrayBuffer || typeof data === "string" ? data : undefined });
  });
  port.addEventListener("messageerror", () => happened("error", { message: "a message cannot be read here" }));
  port.addEventListener("close", () => ended(goneCode));
  const socket: WebSocketLike = {
    binaryType: "arraybuffer",
    get readyState() {
      return readyState;
    },
    send(data) {
      if (readyState === closed) return;
      if (typeof data === "string") {
        port.postMessage(data, []);
        return;
      }
      // The channel hands in a copy of its own, the whole of its buffer: it may be given away.
      const own = data.buffer as ArrayBuffer;
      port.postMessage(own, [own]);
    },
    close(code = unsaidCode) {
      if (readyState === closed) return;
      port.postMessage(`close ${code}`, []);
      ended(code);
    },
    addEventListener(type, listener) {
      listeners.push({ type, listener });
    },
  };
  return { socket, start: () => port.start() };
}
