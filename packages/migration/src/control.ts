// The control messages of Godwit's protocol: a tagged union here, msgpack on the wire.
import { type Manifest, MigrationError, type MigrationErrorJson } from "@godwit/core";
import { checkedManifest } from "@godwit/core/stream";
import { Packr } from "msgpackr";
import * as fields from "./message-fields.ts";
import { checkMsgpackBounds } from "./msgpack-bounds.ts";
import type { Misfit } from "./preamble.ts";

/**
 * What the two engines say to each other beside the stream. On the wire: `[code, body]`.
 *
 * ```mermaid
 * sequenceDiagram
 *   participant S as source
 *   participant D as destination
 *   S->>D: magic, offer {manifest, digest, heartbeatMs}
 *   D->>S: magic, accepted {heartbeatMs, warnings} or refused {misfits}
 *   S-->>D: the stream, while the machine runs
 *   S->>D: round {round}, after each round
 *   D->>S: received {bytes}, at each round and each MiB
 *   Note over S: pauses the machine
 *   S-->>D: the stream, to its end
 *   S->>D: stream-end {bytes, digest}
 *   Note over D: compares, decodes to the end, checks every state
 *   D->>S: prepared {bytes, digest}
 *   Note over S: compares; the machine is not the source's from here on
 *   S->>D: released
 *   Note over D: loads every state, resumes the machine
 *   D->>S: resumed {prepareMs, commitMs}
 * ```
 *
 * Either side may say `failed` or `cancelled` until `released`, and `alive` whenever it was silent for long.
 */
export type ControlMessage =
  | {
      readonly kind: "offer";
      readonly manifest: Manifest;
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
  | { readonly kind: "stream-end"; readonly bytes: number; readonly digest: string }
  | { readonly kind: "prepared"; readonly bytes: number; readonly digest: string }
  | { readonly kind: "released" }
  /** Times by the destination's clock: from `stream-end` to `prepared`, from `released` to the machine's resume. */
  | { readonly kind: "resumed"; readonly prepareMs: number; readonly commitMs: number }
  | { readonly kind: "failed"; readonly error: MigrationErrorJson }
  | { readonly kind: "cancelled" };

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
  "stream-end": (body) => ({ kind: "stream-end", ...sumOf(body, "stream-end") }),
  prepared: (body) => ({ kind: "prepared", ...sumOf(body, "prepared") }),
  released: () => ({ kind: "released" }),
  resumed: (body) => ({
    kind: "resumed",
    prepareMs: fields.duration(body, "prepareMs", "resumed"),
    commitMs: fields.duration(body, "commitMs", "resumed"),
  }),
  failed: (body) => ({ kind: "failed", error: errorOf(body["error"], "failed.error") }),
  cancelled: () => ({ kind: "cancelled" }),
};

/** Plain maps and no records: a message stands for itself. A new one each time, since it keeps what it packed last. */
function newPackr(): Packr {
  return new Packr({ useRecords: false, mapsAsObjects: true });
}

function sumOf(body: fields.Fields, path: string): { bytes: number; digest: string } {
  return { bytes: fields.count(body, "bytes", path), digest: fields.text(body, "digest", path) };
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
