// Connections that the other side makes. Whoever stops waiting for one has its call still out, and what that brings
// is the next one's: else it would be lost between the two.
import type { Channel } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";

export class Accepting {
  readonly #takers = new Set<(channel: Channel) => void>();
  /** One that nobody waited for; the newest, since whoever made it before has given up. */
  #early: Channel | undefined;
  #isOver = false;

  /** The next connection, by this call or by an earlier one that nobody waits for any more. */
  take(accept: () => Promise<Channel>, interrupt: Interrupt): Promise<Channel> {
    return interrupt.race<Channel>((resolve, reject) => {
      const early = this.#early;
      this.#early = undefined;
      if (early !== undefined) {
        resolve(early);
        return undefined;
      }
      const taker = (channel: Channel): void => resolve(channel);
      this.#takers.add(taker);
      accept().then(
        (channel) => this.#put(channel),
        (error: unknown) => {
          if (this.#takers.delete(taker)) reject(error);
        },
      );
      return () => this.#takers.delete(taker);
    });
  }

  /** What nobody waits for is closed, from now on. */
  end(): void {
    this.#isOver = true;
    this.#early?.abort(unwanted());
    this.#early = undefined;
  }

  #put(channel: Channel): void {
    const [taker] = this.#takers;
    if (taker !== undefined) {
      this.#takers.delete(taker);
      taker(channel);
    } else if (this.#isOver) channel.abort(unwanted());
    else {
      this.#early?.abort(unwanted());
      this.#early = channel;
    }
  }
}

function unwanted(): Error {
  return new Error("nobody waits for this connection");
}
