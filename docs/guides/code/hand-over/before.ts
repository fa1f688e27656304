import { handOver } from "./host.ts";

await handOver({ side: "source", at: "device" });
