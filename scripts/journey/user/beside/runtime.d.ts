// What this program takes of Node, Bun and Deno, so that it compiles without the types of any.
declare const console: { log(text: string): void };
declare const performance: { now(): number };
