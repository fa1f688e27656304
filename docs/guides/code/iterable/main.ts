// Everything that the guide shows, in its order. Each program throws where its result is wrong.
await import("./rounds.ts");
await import("./move.ts");
await import("./failures.ts");

export {};
