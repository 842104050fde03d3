import { Store } from "../store/store.ts";
import { listEvidence, planEvidence, removePackage } from "./evidence-index.ts";
import type { GuardContext } from "./guard-context.ts";

const LOOK_MS = 3_600_000;

/** Deletes evidence as the configuration's retention says, every hour; what is under hold never. */
export class EvidenceKeeper implements Disposable {
  readonly #context: GuardContext;
  readonly #onTrouble: (text: string) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(context: GuardContext, onTrouble: (text: string) => void) {
    this.#context = context;
    this.#onTrouble = onTrouble;
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Deletes what is to go now. */
  look(): void {
    const { home, config, tell } = this.#context;
    const { retention, evidence } = config;
    if (retention === undefined) return;
    try {
      using store = Store.open(home);
      const { remove, above } = planEvidence(listEvidence(home, store, evidence), retention);
      for (const { package: one, why } of remove) {
        if (!removePackage(home, one)) continue;
        const { folder, id, bytes } = one;
        tell("evidence-pruned", undefined, { folder, id, by: "retention", why, bytes });
      }
      if (above > 0)
        this.#onTrouble(`evidence is ${above} bytes above its quota, and all of it has to stay`);
    } catch (error) {
      this.#onTrouble(`evidence cannot be looked through: ${String(error)}`);
    }
  }
}
