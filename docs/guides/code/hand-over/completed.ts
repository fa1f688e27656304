import { handOver } from "./host.ts";

await handOver();
