// The guide's programs, in its order, in the folder that the process is in.
await import("./save.ts");
await import("./load.ts");
await import("./migrate.ts");

export {};
