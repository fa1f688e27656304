// Everything that the guide shows, in its order. Each program throws where its result is wrong.
await import("./each.ts");
await import("./look.ts");
await import("./forgot.ts");
await import("./upgrade.ts");

export {};
