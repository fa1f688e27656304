// The device's side of the control queues: a message of the guest is given back when its answers are out, so that one
// whose answers found no room is still in use when the machine moves, and is taken again.
import type { VirtioDevice, Virtqueue, VirtqueueElement } from "@godwit/virtio-core";
import { segmentBytes } from "@godwit/virtio-core";
import { controlQueue } from "./constants.ts";
import { type ControlMessage, controlBytes, encodeControl, parseControl } from "./control.ts";
import { noElement } from "./serial-state.ts";

export interface ControlHost {
  readonly device: () => VirtioDevice | undefined;
  /** Acts on a message; gives what it is to be answered with. */
  readonly answer: (message: ControlMessage) => ControlMessage[];
  /** Sends what the host has to tell, while `send` has room. */
  readonly tell: (send: (message: ControlMessage) => boolean) => void;
}

export interface ControlChannel {
  /** Takes messages and sends answers, as far as there is room. */
  pump(): void;
  /** Gives back what is half answered: it is the next one again. */
  release(): void;
  /** After a load: what was half answered elsewhere is the next one again. */
  rewind(): void;
  forget(): void;
}

export function controlChannel({ device, answer, tell }: ControlHost): ControlChannel {
  let current: { readonly element: VirtqueueElement; readonly answers: ControlMessage[] } | undefined;

  const littleEndian = (): boolean => device()?.littleEndian ?? true;

  function queue(index: number): Virtqueue | undefined {
    const found = device()?.queues[index];
    return device()?.running && found?.ready ? found : undefined;
  }

  function send(message: ControlMessage): boolean {
    const into = queue(controlQueue.in);
    const element = into?.pop();
    if (into === undefined || element === undefined) return false;
    const bytes = encodeControl(message, littleEndian());
    if (segmentBytes(element.in) < bytes.length) {
      device()?.fail(`virtio-console: a control buffer without room for ${bytes.length} bytes`);
      return false;
    }
    into.write(element, 0, bytes);
    into.push(element, bytes.length);
    into.notify();
    return true;
  }

  function take(from: Virtqueue): boolean {
    const element = from.pop();
    if (element === undefined) return false;
    const message = parseControl(from.read(element, 0, controlBytes), littleEndian());
    current = { element, answers: message === undefined ? [] : answer(message) };
    return true;
  }

  function finish(): boolean {
    if (current === undefined) return true;
    const { element, answers } = current;
    for (let first = answers[0]; first !== undefined; first = answers[0]) {
      if (!send(first)) return false;
      answers.shift();
    }
    const from = queue(controlQueue.out);
    if (from === undefined) return false;
    from.push(element, 0);
    from.notify();
    current = undefined;
    return true;
  }

  return {
    pump() {
      const from = queue(controlQueue.out);
      if (from === undefined) return;
      while (finish() && take(from)) {
        // The next one.
      }
      if (current === undefined) tell(send);
    },
    release() {
      if (current === undefined) return;
      queue(controlQueue.out)?.unpop(current.element);
      current = undefined;
    },
    rewind() {
      const from = queue(controlQueue.out);
      while (from !== undefined && from.inuse > 0) from.unpop(noElement);
    },
    forget() {
      current = undefined;
    },
  };
}
