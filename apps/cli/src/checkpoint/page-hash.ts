// The hash by which pages of a checkpoint file are the same.
import { createHash } from "node:crypto";
import { hashBytes } from "./format.ts";

/** The first octets of the page's SHA-256. */
export function pageHash(page: Uint8Array): Uint8Array {
  return createHash("sha256").update(page).digest().subarray(0, hashBytes);
}
