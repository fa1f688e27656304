// The meeting by itself: who is in it, and who is handed a port.
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { FromMeeting, ToMeeting } from "../src/words.ts";

interface Tab {
  readonly heard: FromMeeting<string>[];
  say(message: ToMeeting<string>): void;
}
type Port = { postMessage(message: FromMeeting<string>): void; onmessage?: (event: { readonly data: object }) => void };
const scope = globalThis as { onconnect?: (event: { readonly ports: readonly Port[] }) => void };

describe("the meeting", () => {
  beforeEach(async () => {
    vi.resetModules();
    await import("../src/meeting.ts");
    return () => delete scope.onconnect;
  });

  /** A tab that has come in. */
  function enter(): Tab {
    const heard: FromMeeting<string>[] = [];
    const port: Port = { postMessage: (message) => heard.push(message) };
    scope.onconnect?.({ ports: [port] });
    const say = (data: ToMeeting<string>) => port.onmessage?.({ data });
    say({ do: "enter" });
    return { heard, say };
  }

  it("hands a port to the tab that came first of the others, and says whether there was one", () => {
    const [one] = [enter()];
    one.say({ do: "hand-over", port: "lost" });
    const [two, three] = [enter(), enter()];
    three.say({ do: "hand-over", port: "p" });
    expect(one.heard).toEqual([
      { is: "entered", first: true },
      { is: "handed-over", taken: false },
      { is: "port", port: "p" },
    ]);
    expect(two.heard).toEqual([{ is: "entered", first: false }]);
    expect(three.heard.slice(1)).toEqual([{ is: "handed-over", taken: true }]);
  });

  it("takes nobody else out when a tab leaves twice", () => {
    const [one, two, three] = [enter(), enter(), enter()];
    one.say({ do: "leave" });
    one.say({ do: "leave" });
    two.say({ do: "hand-over", port: "p" });
    expect(three.heard.slice(1)).toEqual([{ is: "port", port: "p" }]);
    expect(one.heard).toHaveLength(1);
  });
});
