// What goes wrong: a connection that ends, a device of another size, a line that is not there, a guest that is too fast.
import { isMigrationError, type SectionSummary } from "@godwit/core";
import { drawingMachine } from "./machine.ts";

async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return error.message;
  }
  throw new Error("nothing was refused");
}

/** Bytes as a slow connection brings them. */
function* pieces(bytes: Uint8Array, pieceBytes: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function saved(machine = drawingMachine()): Promise<Uint8Array> {
  const all: number[] = [];
  for await (const chunk of machine.kernel.save()) all.push(...chunk);
  return Uint8Array.from(all);
}

// #region cut
const source = drawingMachine();
source.kernel.resume();
source.guest(200);
let sections: readonly SectionSummary[] = [];
source.kernel.events.once("saved", (saved) => {
  sections = saved;
});
const save = await saved(source);

const destination = drawingMachine();
const before = destination.picture();
console.log(await refusal(() => destination.kernel.load(save.subarray(0, 10_000))));
console.log(`as before: ${destination.picture() === before}`);

await destination.kernel.load(pieces(save, 100));
console.log(`the whole save: ${destination.picture() === source.picture()}`);
// #endregion

if (destination.picture() !== source.picture()) throw new Error("the second attempt failed");

// #region hostile
console.log(await refusal(() => drawingMachine(320, 100).kernel.load(save)));

const end = sections.find(({ phase }) => phase === "end");
const firstRecord = (end?.offset ?? 0) + 5; // behind the type and the section id
const hostile = save.slice();
new DataView(hostile.buffer).setUint16(firstRecord, 0xfffe);
const incoming = drawingMachine().kernel.incoming();
console.log(await refusal(() => incoming.push(hostile)));
console.log(`allocated on the stream's word: ${incoming.allocatedBytes} bytes`);
// #endregion

// #region fast
const fast = drawingMachine();
fast.kernel.resume();
const attempt = fast.kernel.outgoing();
for (const _ of attempt.setup());
const dirtyBytes: number[] = [];
for (let round = 0; round < 4; round++) {
  for (const _ of attempt.iterate(Number.MAX_SAFE_INTEGER));
  fast.guest(200);
  dirtyBytes.push(attempt.pending(true).mustPrecopyBytes);
}
attempt.end(false);
console.log(`dirty after each round: ${dirtyBytes.join(", ")}`);
// #endregion

if (new Set(dirtyBytes).size !== 1) throw new Error("it converges");
