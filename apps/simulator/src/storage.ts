// The world that the machine acts upon: each guest step and each request shows here, once, in order, and for ever.
import { firstDifference, payloadNumber, payloadOf } from "./layout.ts";

/** What the machine does to the outside, wherever it runs. A violation is told, and the world goes on as if all were well. */
export class Storage {
  readonly #violated: (text: string) => void;
  #steps = 0;
  #requests = 0;

  constructor(violated: (text: string) => void) {
    this.#violated = violated;
  }

  /** Steps that the guest has shown. */
  get steps(): number {
    return this.#steps;
  }

  /** Requests that were carried out. */
  get requests(): number {
    return this.#requests;
  }

  /** The guest shows the number of each of its steps. */
  step(number: number): void {
    if (number !== this.#steps + 1) this.#violated(`guest step ${number} was shown after step ${this.#steps}`);
    this.#steps = Math.max(number, this.#steps);
  }

  /** A request is carried out. */
  request(number: number, payload: Uint8Array): void {
    if (number !== this.#requests + 1) this.#violated(`request ${number} was carried out after ${this.#requests}`);
    this.#requests = Math.max(number, this.#requests);
    if (firstDifference(payload, payloadOf(number)) >= 0) {
      this.#violated(`request ${number} came with the payload of ${payloadNumber(payload)}, or a torn one`);
    }
  }
}
