// The control messages of Godwit's protocol: a tagged union here, msgpack on the wire.
import { type Manifest, MigrationError, type MigrationErrorJson } from "@godwit/core";
import { checkedManifest } from "@godwit/core/stream";
import { Packr } from "msgpackr";
import type { AgreedModes } from "../capabilities.ts";
import type { OwnershipOffer } from "../ownership/holder.ts";
import type { OwnershipAnswer } from "../ownership/rules.ts";
import * as fields from "./message-fields.ts";
import { checkMsgpackBounds } from "./msgpack-bounds.ts";
import type { Misfit } from "./preamble.ts";
import type { ChannelSum } from "./stream-sum.ts";

/**
 * What the two engines say to each other beside the stream. On the wire: `[code, body]`.
 *
 * ```mermaid
 * sequenceDiagram
 *   participant S as source
 *   participant D as destination
 *   S->>D: magic, offer {manifest, ownership, modes, session, digest, heartbeatMs}
 *   D->>S: magic, accepted {heartbeatMs, warnings} or refused {misfits}
 *   S-->>D: the stream, while the machine runs
 *   S->>D: round {round}, after each round
 *   D->>S: received {bytes}, at each round and each MiB
 *   Note over S: pauses the machine
 *   S-->>D: the stream, to its end
 *   S->>D: stream-end {sums}
 *   Note over D: compares, decodes to the end, checks every state
 *   D->>S: prepared {sums}
 *   Note over S: compares; the machine is not the source's from here on
 *   S->>D: released {epoch}
 *   Note over D: loads every state, resumes the machine
 *   D->>S: resumed {prepareMs, commitMs}
 * ```
 *
 * In post-copy the first `stream-end` is a `package-end`, and pages follow it. Behind `resumed`:
 *
 * ```mermaid
 * sequenceDiagram
 *   participant S as source
 *   participant D as destination
 *   D->>S: page-request {idstr, start, length}, from the package on
 *   S-->>D: the stream: pages, to its end
 *   S->>D: stream-end {sums}
 *   D->>S: complete
 *   Note over S,D: or the connection breaks, and over another one
 *   S->>D: magic, resume {session, heartbeatMs}
 *   D->>S: magic, resume-accepted {heartbeatMs}, received-bitmap {idstr, at, of, bitmap} for each block, resume-ack
 *   S-->>D: the stream, from a section's beginning on
 *   Note over S,D: or, where D has everything and its word was lost
 *   S->>D: magic, resume {session, heartbeatMs}
 *   D->>S: magic, complete
 * ```
 *
 * Either side may say `failed` or `cancelled` until `released`, the destination also while it loads, and `alive` whenever
 * it was silent for long. What is durable before which word is told at `OwnershipRecord`. Over a connection of its own:
 *
 * ```mermaid
 * sequenceDiagram
 *   participant S as who released
 *   participant D as who was promised
 *   S->>D: magic, ownership-query {machine, epoch}
 *   D->>S: magic, ownership-answer {machine, epoch, answer}
 * ```
 */
export type ControlMessage =
  | {
      readonly kind: "offer";
      readonly manifest: Manifest;
      /** The machine's id, and the epoch that the destination will own it in. Without: neither side keeps a record. */
      readonly ownership?: OwnershipOffer;
      /** What connections of pages name, to be known as this migration's. 16 hexadecimal digits. */
      readonly session: string;
      readonly modes: AgreedModes;
      /** The name of the digest that will be computed. */
      readonly digest: string;
      /** How often this side must hear something. Milliseconds. */
      readonly heartbeatMs: number;
    }
  | { readonly kind: "accepted"; readonly heartbeatMs: number; readonly warnings: readonly Misfit[] }
  | { readonly kind: "refused"; readonly misfits: readonly Misfit[] }
  | { readonly kind: "alive" }
  | { readonly kind: "round"; readonly round: number }
  /** So much of the stream was decoded. */
  | { readonly kind: "received"; readonly bytes: number }
  | { readonly kind: "stream-end"; readonly sums: readonly ChannelSum[] }
  | { readonly kind: "prepared"; readonly sums: readonly ChannelSum[] }
  | { readonly kind: "released"; readonly epoch?: number }
  /** Times by the destination's clock: from `stream-end` to `prepared`, from `released` to the machine's resume. */
  | { readonly kind: "resumed"; readonly prepareMs: number; readonly commitMs: number }
  /** `never`: a destination will not run this machine, whatever it still hears, and has that in its record. */
  | { readonly kind: "failed"; readonly error: MigrationErrorJson; readonly never?: true }
  | { readonly kind: "cancelled"; readonly never?: true }
  /** The stream as far as the end of post-copy's package. */
  | { readonly kind: "package-end"; readonly sums: readonly ChannelSum[] }
  /** Somebody at the destination waits for these bytes of a RAM block. */
  | { readonly kind: "page-request"; readonly idstr: string; readonly start: number; readonly length: number }
  /** The destination has the whole stream of post-copy, and all pages. */
  | { readonly kind: "complete" }
  /** Over a new connection: post-copy goes on. */
  | { readonly kind: "resume"; readonly session: string; readonly heartbeatMs: number }
  | { readonly kind: "resume-accepted"; readonly heartbeatMs: number }
  /** Pages of a block that the destination has, a bit each: the bytes from `at` on, of `of`. */
  | {
      readonly kind: "received-bitmap";
      readonly idstr: string;
      readonly at: number;
      readonly of: number;
      readonly bitmap: Uint8Array;
    }
  /** All bitmaps were said. */
  | { readonly kind: "resume-ack" }
  | ({ readonly kind: "ownership-query" } & OwnershipOffer)
  | ({ readonly kind: "ownership-answer"; readonly answer: OwnershipWord } & OwnershipOffer);

/** `lost`: it was taken, and the process that ran the machine is gone. */
export type OwnershipWord = OwnershipAnswer | "lost";

const ownershipWords: readonly string[] = ["taken", "never", "unknown", "lost"] satisfies OwnershipWord[];

export type ControlKind = ControlMessage["kind"];

/** Codes on the wire. 0 is reserved as invalid; a code is never used again for something else. */
export const controlCode = {
  offer: 1,
  accepted: 2,
  refused: 3,
  alive: 4,
  round: 5,
  received: 6,
  "stream-end": 7,
  prepared: 8,
  released: 9,
  resumed: 10,
  failed: 11,
  cancelled: 12,
  "ownership-query": 13,
  "ownership-answer": 14,
  "package-end": 15,
  "page-request": 16,
  complete: 17,
  resume: 18,
  "resume-accepted": 19,
  "received-bitmap": 20,
  "resume-ack": 21,
} as const satisfies Record<ControlKind, number>;

export function encodeControl(message: ControlMessage): Uint8Array {
  const { kind, ...body } = message;
  return newPackr().pack([controlCode[kind], body]);
}

/** `PROTOCOL_MESSAGE` for anything that is not a whole, valid message. */
export function decodeControl(bytes: Uint8Array): ControlMessage {
  checkMsgpackBounds(bytes);
  const value: unknown = newPackr().unpack(bytes);
  const [code, body] = Array.isArray(value) && value.length === 2 ? value : [undefined, undefined];
  const kind = Object.entries(controlCode).find(([, own]) => own === code)?.[0] as ControlKind | undefined;
  if (kind === undefined) throw fields.wrong("", "[code, body]", value);
  return decoders[kind](fields.fieldsOf(body, kind));
}

type Decoders = { readonly [K in ControlKind]: (body: fields.Fields) => Extract<ControlMessage, { kind: K }> };

const decoders: Decoders = {
  offer: (body) => ({
    kind: "offer",
    manifest: checkedManifest(body["manifest"], "offer.manifest", fields.wrong),
    ...(body["ownership"] === undefined ? {} : { ownership: ownershipOf(body["ownership"], "offer.ownership") }),
    session: sessionOf(body, "offer"),
    modes: modesOf(body["modes"]),
    digest: fields.text(body, "digest", "offer"),
    heartbeatMs: fields.duration(body, "heartbeatMs", "offer"),
  }),
  accepted: (body) => ({
    kind: "accepted",
    heartbeatMs: fields.duration(body, "heartbeatMs", "accepted"),
    warnings: fields.list(body, "warnings", "accepted", misfitOf),
  }),
  refused: (body) => ({ kind: "refused", misfits: fields.list(body, "misfits", "refused", misfitOf) }),
  alive: () => ({ kind: "alive" }),
  round: (body) => ({ kind: "round", round: fields.count(body, "round", "round") }),
  received: (body) => ({ kind: "received", bytes: fields.count(body, "bytes", "received") }),
  "stream-end": (body) => ({ kind: "stream-end", sums: fields.list(body, "sums", "stream-end", sumOf) }),
  prepared: (body) => ({ kind: "prepared", sums: fields.list(body, "sums", "prepared", sumOf) }),
  released: (body) => {
    const epoch = fields.optionalCount(body, "epoch", "released");
    return epoch === undefined ? { kind: "released" } : { kind: "released", epoch };
  },
  resumed: (body) => ({
    kind: "resumed",
    prepareMs: fields.duration(body, "prepareMs", "resumed"),
    commitMs: fields.duration(body, "commitMs", "resumed"),
  }),
  failed: (body) => ({ kind: "failed", error: errorOf(body["error"], "failed.error"), ...neverOf(body, "failed") }),
  cancelled: (body) => ({ kind: "cancelled", ...neverOf(body, "cancelled") }),
  "package-end": (body) => ({ kind: "package-end", sums: fields.list(body, "sums", "package-end", sumOf) }),
  "page-request": (body) => ({
    kind: "page-request",
    idstr: fields.text(body, "idstr", "page-request"),
    start: fields.count(body, "start", "page-request"),
    length: fields.count(body, "length", "page-request"),
  }),
  complete: () => ({ kind: "complete" }),
  resume: (body) => ({
    kind: "resume",
    session: sessionOf(body, "resume"),
    heartbeatMs: fields.duration(body, "heartbeatMs", "resume"),
  }),
  "resume-accepted": (body) => ({
    kind: "resume-accepted",
    heartbeatMs: fields.duration(body, "heartbeatMs", "resume-accepted"),
  }),
  "received-bitmap": (body) => ({
    kind: "received-bitmap",
    idstr: fields.text(body, "idstr", "received-bitmap"),
    at: fields.count(body, "at", "received-bitmap"),
    of: fields.count(body, "of", "received-bitmap"),
    bitmap: fields.bytes(body, "bitmap", "received-bitmap"),
  }),
  "resume-ack": () => ({ kind: "resume-ack" }),
  "ownership-query": (body) => ({ kind: "ownership-query", ...ownershipOf(body, "ownership-query") }),
  "ownership-answer": (body) => {
    const answer = fields.text(body, "answer", "ownership-answer");
    if (!ownershipWords.includes(answer)) {
      throw fields.wrong("ownership-answer.answer", ownershipWords.join(", "), answer);
    }
    return { kind: "ownership-answer", ...ownershipOf(body, "ownership-answer"), answer: answer as OwnershipWord };
  },
};

/** Plain maps and no records: a message stands for itself. A new one each time, since it keeps what it packed last. */
function newPackr(): Packr {
  return new Packr({ useRecords: false, mapsAsObjects: true });
}

function sessionOf(body: fields.Fields, path: string): string {
  const session = fields.text(body, "session", path);
  if (/^[0-9a-f]{16}$/.test(session)) return session;
  throw fields.wrong(`${path}.session`, "16 hexadecimal digits", session);
}

function ownershipOf(value: unknown, path: string): OwnershipOffer {
  const from = fields.fieldsOf(value, path);
  const machine = fields.text(from, "machine", path);
  if (!/^[0-9a-f]{32}$/.test(machine)) throw fields.wrong(`${path}.machine`, "32 hexadecimal digits", machine);
  return { machine, epoch: fields.count(from, "epoch", path) };
}

function neverOf(body: fields.Fields, path: string): { never?: true } {
  return body["never"] !== undefined && fields.flag(body, "never", path) ? { never: true } : {};
}

function modesOf(value: unknown): AgreedModes {
  const from = fields.fieldsOf(value, "offer.modes");
  return Object.fromEntries(Object.keys(from).map((name) => [name, fields.text(from, name, "offer.modes")]));
}

function sumOf(value: unknown, path: string): ChannelSum {
  const from = fields.fieldsOf(value, path);
  return {
    channel: fields.count(from, "channel", path),
    bytes: fields.count(from, "bytes", path),
    digest: fields.text(from, "digest", path),
  };
}

function misfitOf(value: unknown, path: string): Misfit {
  const from = fields.fieldsOf(value, path);
  return {
    code: fields.text(from, "code", path),
    subject: fields.text(from, "subject", path),
    refuses: fields.flag(from, "refuses", path),
    expected: fields.text(from, "expected", path),
    found: fields.text(from, "found", path),
  };
}

function errorOf(value: unknown, path: string): MigrationErrorJson {
  const from = fields.fieldsOf(value, path);
  const side = fields.optionalText(from, "side", path);
  if (side !== undefined && side !== "source" && side !== "destination" && side !== "define") {
    throw fields.wrong(`${path}.side`, "source, destination or define", side);
  }
  const error = new MigrationError(fields.text(from, "code", path), fields.text(from, "detail", path), {
    side,
    section: fields.optionalText(from, "section", path),
    version: fields.optionalCount(from, "version", path),
    path: fields.optionalText(from, "path", path),
    offset: fields.optionalCount(from, "offset", path),
    expected: fields.optionalText(from, "expected", path),
    found: fields.optionalText(from, "found", path),
  });
  return error.toJSON();
}
