// A port's two ends on the host: what takes the guest's output, and what gives it input.
import type { ConsoleSize } from "./configuration.ts";

export interface SerialPortOptions {
  /** 0 to `maxPorts` - 1. Port 0 is what a driver without MULTIPORT has. */
  readonly id: number;
  /** The guest's name for it, ASCII. */
  readonly name?: string;
  /** The guest makes a terminal of it. */
  readonly console?: boolean;
  /** Size of the terminal, characters. */
  readonly size?: ConsoleSize;
  /** Whether the host's end is open from the beginning; the default is true. While it is not, output is thrown away. */
  readonly open?: boolean;
  /** Takes bytes that the guest wrote, and says how many. Fewer than there are: the rest waits for `drained`. */
  write(bytes: Uint8Array): number;
  /** The guest has opened or closed the port. */
  guestConnected?(connected: boolean): void;
  /** The driver has given room for input. */
  room?(): void;
}

export interface SerialPort {
  readonly id: number;
  readonly guestConnected: boolean;
  readonly hostConnected: boolean;
  /** The host's end takes output again. */
  drained(): void;
  /** Gives the guest input; how many bytes it had room for. None while the guest has not opened the port. */
  send(bytes: Uint8Array): number;
  /** The host's end opens or closes; the guest is told. */
  setOpen(open: boolean): void;
  setSize(size: ConsoleSize): void;
}
