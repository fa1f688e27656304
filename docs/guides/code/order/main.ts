// Everything that the guide shows, in its order.
await import("./arrival.ts");
await import("./refused.ts");
await import("./cycle.ts");
await import("./held.ts");

export {};
