/** Any event of a monitor. The data comes from QEMU and is not checked beyond being an object. */
export type QmpEvent = { readonly name: string; readonly data: unknown; readonly time: Date };

type Listener = (event: QmpEvent) => void;

/** Hands events to those who asked for them. */
export class EventHub {
  readonly #listeners = new Set<Listener>();

  add(listener: Listener): Disposable {
    // An own function each time: the same listener may be added twice.
    const own: Listener = (event) => listener(event);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  emit(event: QmpEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // A fault in a listener is no fault of the connection.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** Reads the event out of a QMP message, or undefined where it is malformed. */
export function eventOf(message: Record<string, unknown>): QmpEvent | undefined {
  const name = message["event"];
  if (typeof name !== "string") return undefined;
  const stamp = message["timestamp"] as { seconds?: unknown; microseconds?: unknown } | undefined;
  const seconds = Number(stamp?.seconds ?? Number.NaN);
  const microseconds = Number(stamp?.microseconds ?? 0);
  // QEMU says −1 where it could not read the clock.
  const time = seconds > 0 ? new Date(seconds * 1000 + microseconds / 1000) : new Date();
  return { name, data: message["data"] ?? {}, time };
}

/** Events that wait for a slow reader; beyond this the oldest are dropped and counted. */
const MAX_WAITING = 10_000;

/** Events as an async iterator that ends with its connection. */
export class EventQueue implements AsyncIterableIterator<QmpEvent, undefined>, Disposable {
  #waiting: QmpEvent[] = [];
  #readers: ((result: IteratorResult<QmpEvent, undefined>) => void)[] = [];
  #ended = false;
  #subscription: Disposable | undefined;
  /** How many events were dropped because nobody read them in time. */
  lost = 0;

  constructor(subscribe: (listener: Listener) => Disposable) {
    this.#subscription = subscribe((event) => this.#push(event));
  }

  #push(event: QmpEvent): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) return reader({ value: event, done: false });
    if (this.#waiting.length >= MAX_WAITING) {
      this.#waiting.shift();
      this.lost++;
    }
    this.#waiting.push(event);
  }

  next(): Promise<IteratorResult<QmpEvent, undefined>> {
    const event = this.#waiting.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** What waits is still delivered, then the iteration ends. */
  end(): void {
    this.#ended = true;
    this.#subscription?.[Symbol.dispose]();
    this.#subscription = undefined;
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true });
  }

  return(): Promise<IteratorResult<QmpEvent, undefined>> {
    this.#waiting = [];
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    void this.return();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
