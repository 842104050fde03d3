const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Ends with the scope that asked for it. */
export type Interruption = Disposable & { readonly signal: AbortSignal };

/**
 * Turns Ctrl-C, SIGTERM and SIGHUP into an aborted signal, so that a command that follows leaves
 * in order; or only those of them that are named. The usual ending comes back on disposal.
 */
export function onInterrupt(names: readonly NodeJS.Signals[] = signals): Interruption {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  for (const name of names) process.on(name, abort);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of names) process.off(name, abort);
    },
  };
}

/** Waits, or comes back at once when the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
