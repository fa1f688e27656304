// Properties under the names of a description, each backed by one place inside of the emulator.

/** What one described name stands for. */
export interface Place<T> {
  get(): T;
  set(value: T): void;
}

/** An object with one accessor a name: `capture` reads it, `restore` writes through it. */
export function accessors<S extends object>(places: { readonly [K in keyof S]: Place<S[K]> }): S {
  const target = {};
  for (const [name, { get, set }] of Object.entries<Place<unknown>>(places)) {
    Object.defineProperty(target, name, { enumerable: true, get, set });
  }
  return target as S;
}

/** A property of an object. */
export function property<O extends object, K extends keyof O>(of: O, key: K): Place<O[K]> {
  return {
    get: () => of[key],
    set: (value) => {
      of[key] = value;
    },
  };
}
