// The engine's work by hand: rounds while the guest draws, then the rest while it stands.
import { drawingMachine } from "./machine.ts";

// #region rounds
const source = drawingMachine();
const destination = drawingMachine();
source.kernel.resume();
source.guest(200);

const outgoing = source.kernel.outgoing();
const incoming = destination.kernel.incoming();
for (const chunk of outgoing.setup()) incoming.push(chunk);

const enoughBytes = 4_000; // what may be sent while the machine stands
let drawnLines = 100;
for (let round = 1; outgoing.pending(true).mustPrecopyBytes > enoughBytes; round++) {
  let sentBytes = 0;
  while (outgoing.pending(false).mustPrecopyBytes > 0) {
    for (const chunk of outgoing.iterate(16 * 1024)) {
      incoming.push(chunk);
      sentBytes += chunk.length;
    }
  }
  source.guest(drawnLines); // meanwhile
  drawnLines = Math.floor(drawnLines / 4);
  console.log(`round ${round}: ${sentBytes} bytes sent, ${outgoing.pending(true).mustPrecopyBytes} dirty again`);
}

source.screen.draw(199, 7, 42); // after the last look: `complete` must find it
source.kernel.pause();
for (const chunk of outgoing.complete()) incoming.push(chunk);
incoming.end();
await incoming.prepare();
const report = await incoming.commit();
outgoing.end(true);
destination.kernel.resume();
const own = report.sections.filter(({ idstr }) => idstr === "frame-buffer");
console.log(own.map(({ phase }) => phase).join(" "));
// #endregion

if (destination.picture() !== source.picture()) throw new Error("the picture differs");
