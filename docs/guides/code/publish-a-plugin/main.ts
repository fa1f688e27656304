// Everything that the guide shows, in its order. Each program throws where its result is wrong.
await import("./golden.ts");
await import("./differ.ts");

export {};
