// What is to be put away when a signal ends the process: those that nobody hears end it without the event "exit".

/** `putAway` is called, and then the process ends as the signal would have ended it. The result takes all that back. */
export function onStop(putAway: () => void): () => void {
  const listeners = signals.map((signal) => {
    const listener = (): void => {
      takeBack();
      putAway();
      process.kill(process.pid, signal);
    };
    return [signal, listener] as const;
  });
  const takeBack = (): void => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return takeBack;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
