// Counts every attempt to evaluate text, from before the first module of core: Chromium reports equal ones only once.
const scope = globalThis as unknown as { Function: FunctionConstructor };
let attempts = 0;

scope.Function = new Proxy(scope.Function, {
  construct(target, args, newTarget) {
    attempts++;
    return Reflect.construct(target, args, newTarget);
  },
  apply(target, self, args) {
    attempts++;
    return Reflect.apply(target, self, args);
  },
});

export const attemptsSoFar = (): number => attempts;
