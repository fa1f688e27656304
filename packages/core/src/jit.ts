// @godwit/core/jit: an optional short cut. The codec does the same with it and without.
import { acceleration } from "./vmstate/fast.ts";
import { generate } from "./vmstate/jit.ts";

/**
 * From now on this copy of core gives descriptions of fixed size that are in frequent use straight-line code of their
 * own, several times as fast as the general walk. It evaluates text (`Function`): where a content-security policy
 * without `unsafe-eval` forbids that, nothing changes, and the policy reports one attempt.
 */
export function accelerate(): void {
  acceleration.generate = generate;
}
