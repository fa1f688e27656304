// A machine with a frame buffer and a guest that draws on it.
import { createKernel, virtualClock } from "@godwit/core";
import { frameBuffer } from "./frame-buffer.ts";

const width = 320;
const lines = 200;

export function drawingMachine(ofWidth = width, ofLines = lines) {
  let isRunning = false;
  let frames = 0;
  const kernel = createKernel({
    machineType: "guide-1.0",
    clock: virtualClock(() => 0n),
    machine: {
      pause() {
        isRunning = false;
      },
      resume() {
        isRunning = true;
      },
      reset() {},
    },
  });
  const screen = frameBuffer(kernel, ofWidth, ofLines);
  return {
    kernel,
    screen,
    get isRunning() {
      return isRunning;
    },
    /** The guest's turn: it draws over so many lines. */
    guest(drawnLines: number): void {
      if (!isRunning) return;
      frames++;
      for (let i = 0; i < drawnLines; i++) screen.draw(i, frames % ofWidth, frames & 0xff);
      screen.registers.scroll_line = frames % ofLines;
    },
    /** All pixels and registers, to compare. */
    picture(): string {
      const { scroll_line, cursor_line } = screen.registers;
      const all: number[] = [scroll_line, cursor_line];
      for (let i = 0; i < ofWidth * ofLines; i++) all.push(screen.pixel(Math.floor(i / ofWidth), i % ofWidth));
      return all.join();
    },
  };
}

export type DrawingMachine = ReturnType<typeof drawingMachine>;
