// What a tab and its worker, and a tab and the meeting, say to each other.

/** Of a machine that stands between two steps. */
export interface Evidence {
  readonly steps: number;
  readonly lines: number;
  /** Of all memory. */
  readonly checksum: string;
  /** What is lost, repeated or torn; empty where nothing is. */
  readonly problems: readonly string[];
}

/** How a migration ended on one side. */
export interface Ended {
  readonly way: "out" | "in";
  /** `completed`, `failed`, ... */
  readonly status: string;
  /** Code of the error, where there is one. */
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly rounds: number;
  readonly sentBytes: number;
  readonly downtimeMs: number | undefined;
  /** Behind a migration out: what stands here. Behind one in: what arrived, before it ran. */
  readonly held: { readonly steps: number; readonly checksum: string } | undefined;
}

export type ToMachine<Port> =
  | { readonly do: "switch-on" }
  | { readonly do: "send"; readonly port: Port }
  | { readonly do: "receive"; readonly port: Port }
  | { readonly do: "paper"; readonly has: boolean }
  /** Stops for a moment, looks, and goes on. */
  | { readonly do: "examine" };

export type FromMachine =
  | { readonly is: "line"; readonly line: number }
  | { readonly is: "running"; readonly running: boolean }
  | { readonly is: "round"; readonly round: number; readonly bytes: number; readonly pendingBytes: number }
  | { readonly is: "ended"; readonly ended: Ended }
  | { readonly is: "evidence"; readonly evidence: Evidence };

export type ToMeeting<Port> =
  | { readonly do: "enter" }
  | { readonly do: "leave" }
  /** For the tab that came first of the others. */
  | { readonly do: "hand-over"; readonly port: Port };

export type FromMeeting<Port> =
  | { readonly is: "entered"; readonly first: boolean }
  | { readonly is: "handed-over"; readonly taken: boolean }
  | { readonly is: "port"; readonly port: Port };
