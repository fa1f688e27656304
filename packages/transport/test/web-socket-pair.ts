// Two WebSockets joined to each other in one process: of the standard's shape, and in its order of events.
import type { WebSocketEventLike, WebSocketLike } from "@godwit/transport/ws";

class JoinedSocket implements WebSocketLike {
  binaryType = "blob";
  readyState = 1;
  peer: JoinedSocket | undefined;
  readonly #listeners: { readonly type: string; readonly listener: (event: WebSocketEventLike) => void }[] = [];

  addEventListener(type: string, listener: (event: WebSocketEventLike) => void): void {
    this.#listeners.push({ type, listener });
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== 1) return;
    const copy = typeof data === "string" ? data : data.slice().buffer;
    this.#later(() => this.peer?.happened("message", { data: copy }));
  }

  close(code = 1005): void {
    if (this.readyState !== 1) return;
    this.readyState = 2;
    // The close frame goes behind what was sent, and is answered.
    this.#later(() => {
      this.peer?.closed(code);
      this.#later(() => this.closed(code));
    });
  }

  closed(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.happened("close", { code });
  }

  happened(type: string, event: WebSocketEventLike): void {
    if (type === "message" && this.readyState === 3) return;
    for (const entry of this.#listeners) if (entry.type === type) entry.listener(event);
  }

  #later(act: () => void): void {
    setImmediate(act);
  }
}

export function webSocketPair(): [WebSocketLike, WebSocketLike] {
  const [here, there] = [new JoinedSocket(), new JoinedSocket()];
  here.peer = there;
  there.peer = here;
  return [here, there];
}
