import { sendDatagram } from "../native/datagram.ts";

/** Speaks to systemd by the protocol of sd_notify(3); without NOTIFY_SOCKET it says nothing. */
export class ServiceManager implements Disposable {
  readonly #socket: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(environment: Readonly<Record<string, string | undefined>> = process.env) {
    this.#socket = environment["NOTIFY_SOCKET"] || undefined;
    const limit = Number(environment["WATCHDOG_USEC"]);
    if (this.#socket === undefined || !(limit > 0)) return;
    // Half of the limit, as sd_watchdog_enabled(3) advises. A loop that hangs sends nothing.
    this.#timer = setInterval(() => this.#say("WATCHDOG=1"), limit / 2000);
    this.#timer.unref();
  }

  ready(status: string): boolean {
    return this.#say(`READY=1\nMAINPID=${process.pid}\nSTATUS=${status}`);
  }

  stopping(): boolean {
    return this.#say("STOPPING=1");
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #say(text: string): boolean {
    return this.#socket !== undefined && sendDatagram(this.#socket, text);
  }
}
