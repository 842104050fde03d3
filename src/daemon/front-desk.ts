import { KvmsecError } from "../base/errors.ts";
import type { ControlRequest } from "./control-request.ts";
import type { GuardContext } from "./guard-context.ts";
import type { LiveConfig } from "./live-config.ts";

/** What people ask of the guard while it runs. */
export class FrontDesk {
  readonly #context: GuardContext;
  readonly #config: LiveConfig;
  readonly #onTrouble: (text: string) => void;

  constructor(context: GuardContext, config: LiveConfig, onTrouble: (text: string) => void) {
    this.#context = context;
    this.#config = config;
    this.#onTrouble = onTrouble;
  }

  /** The answer to a request. Throws a KvmsecError that says why it is refused. */
  answer(request: ControlRequest): object {
    switch (request.ask) {
      case "status":
        return this.#status();
      case "reload":
        return this.reload();
      case "record": {
        const { kind, guest, data } = request.record;
        this.#context.tell(kind, guest === null ? undefined : { name: guest }, data);
        return {};
      }
    }
  }

  /** Reads the configuration anew. A broken one is told, thrown, and the old one holds. */
  reload(): object {
    const { tell } = this.#context;
    const reload = this.#config.reload();
    if (reload.ok) {
      tell("config-loaded", undefined, reload.facts);
      return reload.facts;
    }
    const { code, message } = reload.error;
    tell("config-rejected", undefined, { code, message, kept: this.#config.facts() });
    this.#onTrouble(`the configuration is not taken, the old one holds: ${message}`);
    throw reload.error;
  }

  /** Reloads on SIGHUP, as daemons do; on a terminal it means that the terminal is gone. */
  onHangup(): Disposable {
    const listener = (): void => {
      try {
        this.reload();
      } catch (error) {
        // It was told; who sends a signal hears nothing.
        if (!(error instanceof KvmsecError)) throw error;
      }
    };
    if (!process.stdin.isTTY) process.on("SIGHUP", listener);
    return { [Symbol.dispose]: () => void process.off("SIGHUP", listener) };
  }

  #status(): object {
    const { config, recall } = this.#context;
    const { profile, dryRun } = config;
    const guests = [...recall.runs.values()].map(({ guest }) => guest);
    const approvalExpiryMs = config.approvalExpiry;
    const facts = { profile, dryRun, guests, approvalExpiryMs };
    return { pid: process.pid, ...facts, config: this.#config.facts() };
  }
}
