import { connect, listen } from "@godwit/transport/tcp";

const listener = await listen("tcp:127.0.0.1:0"); // listener.uri has the real port
const [here, there] = await Promise.all([connect(listener.uri), listener.accept()]);

await here.send(Uint8Array.of(1, 2, 3)); // resolves when the transport can take more
await here.close(); // the peer reads all of it, then the end
for await (const chunk of there.receive()) console.log(chunk);

await there.close();
await listener.close();
