// Progress while it happens: redrawn in place on a terminal, plain lines elsewhere, JSON lines for machines.
import { createLogUpdate } from "log-update";
import type { Message, Role } from "../roles/messages.ts";
import { count, mebibytes, milliseconds } from "./format.ts";

export interface Display {
  show(role: Role, message: Message): void;
  /** Nothing more comes: what was redrawn stays. */
  done(): void;
  /** A line of the summary. */
  line(text: string): void;
}

export function displayFor(out: NodeJS.WriteStream, json: boolean): Display {
  if (json) return jsonDisplay(out);
  return out.isTTY ? liveDisplay(out) : plainDisplay(out);
}

function jsonDisplay(out: NodeJS.WriteStream): Display {
  return {
    show: (role, message) => out.write(`${JSON.stringify({ role, ...message })}\n`),
    done: () => {},
    line: () => {},
  };
}

/** What is worth a line of its own wherever it is shown. */
function headline(role: Role, message: Message): string | undefined {
  switch (message.event) {
    case "console":
      return `${role}: guest says "${message.line}"`;
    case "listening":
      return `destination: listens on ${message.uri}`;
    case "verified":
      return `${role}: has verified its peer's certificate`;
    case "status":
      return `${role}: ${message.status}`;
    case "round": {
      const { round, bytes, pendingBytes, expectedDowntimeMs, durationMs, cpuThrottlePercentage } = message.round;
      const throttled = cpuThrottlePercentage === 0 ? "" : `, ${cpuThrottlePercentage}% of the CPU taken`;
      const expected =
        expectedDowntimeMs === undefined ? "" : `, expected downtime ${milliseconds(expectedDowntimeMs)}`;
      return `source: round ${round}: ${mebibytes(bytes)} in ${milliseconds(durationMs)}, ${mebibytes(pendingBytes)} dirty again${expected}${throttled}`;
    }
    case "verdict":
      return `source: ${message.text}`;
    case "failed":
      return `${role}: ${message.text}`;
    default:
      return undefined;
  }
}

/** Lines of mere progress come at most this often. */
const plainProgressMs = 500;

function plainDisplay(out: NodeJS.WriteStream): Display {
  const line = (text: string) => out.write(`${text}\n`);
  let toldMs = Number.NEGATIVE_INFINITY;
  return {
    show(role, message) {
      const text = headline(role, message) ?? progress(message);
      const isHeadline = headline(role, message) !== undefined;
      if (text === undefined || (!isHeadline && performance.now() - toldMs < plainProgressMs)) return;
      if (!isHeadline) toldMs = performance.now();
      line(text);
    },
    done: () => {},
    line,
  };
}

function liveDisplay(out: NodeJS.WriteStream): Display {
  const update = createLogUpdate(out);
  const headlines: string[] = [];
  let bar = "";
  const draw = () => update([...headlines.slice(-12), bar].filter((text) => text !== "").join("\n"));
  return {
    show(role, message) {
      const text = headline(role, message);
      if (text !== undefined) headlines.push(text);
      bar = progress(message, out.columns) ?? bar;
      draw();
    },
    done() {
      bar = "";
      draw();
      update.done();
    },
    line: (text) => out.write(`${text}\n`),
  };
}

function progress(message: Message, columns = 80): string | undefined {
  if (message.event === "warming-up") {
    const { guest } = message;
    return guest && `the guest works: ${count(guest.blocksCompleted)} blocks, ${count(guest.packetsCompleted)} packets`;
  }
  if (message.event !== "progress") return undefined;
  const { ram, status } = message.statistics;
  const done = Math.max(0, Math.min(1, 1 - ram.remaining / Math.max(1, ram.total)));
  const text = ` ${status}, ${mebibytes(ram.transferred)} sent, ${mebibytes(ram.remaining)} left, ${Math.round(ram.mbps)} Mbit/s, block ${count(message.guest?.blocksCompleted ?? 0)}`;
  const width = Math.max(8, Math.min(24, columns - text.length - 2));
  const filled = Math.round(done * width);
  return `[${"#".repeat(filled)}${".".repeat(width - filled)}]${text}`;
}
