// Events that cannot harm the migration they tell of.
import type { EventEmitter } from "eventemitter3";
import type { HostClock } from "./host.ts";

/** Emits; what a listener throws reaches the program as an uncaught error, and not the engine's own steps. */
export function emitSafely<Events extends object>(
  events: EventEmitter<Events>,
  clock: HostClock,
  name: keyof Events & string,
  values: readonly unknown[],
): void {
  try {
    (events as unknown as EventEmitter).emit(name, ...values);
  } catch (error) {
    clock.after(0, () => {
      throw error;
    });
  }
}
