// The process that inherits a socket as descriptor 3: it sends back what comes, or breaks off after the first chunk.
import { connect } from "@godwit/transport/fd";

const channel = await connect("fd:3");
for await (const chunk of channel.receive()) {
  if (process.argv[2] === "abort") {
    channel.abort(new Error("enough"));
    break;
  }
  await channel.send(chunk);
}
await channel.close();
