// Everything that the guide shows, in its order. Each program throws where its result is wrong.
await import("./first.ts");
await import("./move.ts");
await import("./mistakes.ts");
await import("./conformance.ts");

export {};
