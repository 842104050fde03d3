const LOOK_MS = 250;

/** Waits; comes back at once when the signal is aborted, and soon after `over` says so. */
export function pauseUntil(
  milliseconds: number,
  signal: AbortSignal,
  over: () => boolean = () => false,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      clearInterval(look);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    const look = setInterval(() => over() && end(), LOOK_MS);
    signal.addEventListener("abort", end);
  });
}
