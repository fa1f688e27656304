import { answerOwnership } from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import { clock, handOver } from "./host.ts";

const { here, there, outgoing, incoming } = await handOver({ side: "source", at: "released" });

// #region resolve
const [line, otherEnd] = memoryPair();
const answering = answerOwnership({
  log: there.log,
  clock,
  accept: async () => otherEnd,
  holds: () => incoming.holds,
});
const { outcome } = await outgoing.resolve({ connect: async () => line });
console.log(`asked: ${(await answering).answer}; so it is ${outcome}, and the source ${outgoing.state.status}`);
await here.tell();
await there.tell();
// #endregion
