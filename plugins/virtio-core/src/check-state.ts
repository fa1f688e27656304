// What QEMU tests while and after it loads, in one answer for a whole device, before anything is touched.
import { MigrationError } from "@godwit/core";
import { brokenState, checkFeatures, checkQueueFields, checkQueues } from "./check.ts";
import { contextOf } from "./context.ts";
import type { DmaReader } from "./dma.ts";
import type { Parts } from "./parts.ts";
import type { VirtioState } from "./section.ts";

/** What QEMU tests while and after it loads; here before anything is touched. */
export function checkState<C, Q, X, D, L>(
  { common, transport, model }: Parts<C, Q, X, D, L>,
  state: VirtioState<C, Q, X, D, L>,
  memory: DmaReader,
): { readonly amended: VirtioState<C, Q, X, D, L>; readonly note: string } | undefined {
  transport.check?.(
    state.transport,
    state.vqs.map((queue) => queue.transport),
    state.virtio.extra_state.extra_state,
  );
  checkQueueCount(state, common.queues.length);
  checkQueueFields(state);
  checkFeatures(state, common.hostFeatures);
  const notes: string[] = [];
  let amended = state;
  const inconsistent = transport.dmaEnabled(state.transport) ? checkQueues(state, memory) : [];
  if (inconsistent.length > 0) {
    amended = brokenState(state);
    notes.push(...inconsistent.map(({ text }) => text));
  }
  const answer = model.check?.(amended.device, { ...contextOf(model, amended), memory });
  if (answer !== undefined) {
    amended = { ...amended, device: answer.amended };
    notes.push(answer.note);
  }
  return notes.length > 0 ? { amended, note: notes.join("; ") } : undefined;
}

function checkQueueCount(state: { readonly queue_count: number }, has: number): void {
  if (state.queue_count <= has) return;
  throw new MigrationError("DEVICE_CHECK", "the stream has more queues than the device", {
    path: "queue_count",
    expected: `at most ${has}`,
    found: String(state.queue_count),
  });
}
