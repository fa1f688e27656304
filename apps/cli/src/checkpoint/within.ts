// Waits for something, but not for ever.

/** "silence" where it takes longer; it goes on all the same. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | "silence"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<"silence">((resolve) => {
    timer = setTimeout(() => resolve("silence"), milliseconds);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}
