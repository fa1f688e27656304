// What the scenarios take of Node, Bun and Deno, so that they compile without the types of any.
declare const console: { log(text: string): void };
declare const performance: { now(): number };
declare function setTimeout(callback: (value?: undefined) => void, delayMs: number): number;
declare function clearTimeout(waiting: number): void;
