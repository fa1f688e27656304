// Everything that the guide shows, in its order.
await import("./completed.ts");
await import("./before.ts");
await import("./doubt.ts");
await import("./taken.ts");

export {};
