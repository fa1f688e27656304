// What the guide's programs take of Node, Bun and Deno, so that they compile without the types of any.
declare const console: { log(text: string): void };
declare const performance: { now(): number };
declare function setTimeout(callback: (value?: undefined) => void, delayMs: number): number;
declare function clearTimeout(waiting: number): void;
declare const Buffer: { concat(parts: readonly Uint8Array[]): Uint8Array };
declare module "node:fs" {
  export function readFileSync(path: string): Uint8Array;
  export function writeFileSync(path: string, bytes: Uint8Array): void;
}
