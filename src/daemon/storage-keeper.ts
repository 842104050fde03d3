import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GuardEvent } from "../events/event.ts";
import { STORAGE } from "../evidence/manifest.ts";
import { jobsAtWork } from "../response/job.ts";
import { Store } from "../store/store.ts";
import type { GuardContext } from "./guard-context.ts";
import { Helper } from "./helper.ts";
import type { Reply } from "./helper.ts";
import type { WorkAnswer } from "./reaction-worker.ts";
import type { StorageOrder } from "./storage-worker.ts";

/** So long after a capture the next reaction has begun, if there is one. */
const LATER_MS = 5000;
/** Packing a guest of a terabyte takes hours at the lowest priority. */
const LIMIT_MS = 24 * 3_600_000;

/**
 * Has the guard's packages compressed, one after the other, by a process of the lowest priority, when
 * nobody is at work on a guest. What an earlier guard left uncompressed comes first.
 */
export class StorageKeeper implements Disposable {
  readonly #context: GuardContext;
  readonly #onTrouble: (text: string) => void;
  readonly #waiting: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #helper: Helper | undefined;
  #over = false;

  constructor(context: GuardContext, onTrouble: (text: string) => void) {
    this.#context = context;
    this.#onTrouble = onTrouble;
    this.#waiting.push(...this.#leftOver());
    this.#later();
  }

  /** To be given each event: what was captured or kept is packed. */
  take({ kind, data }: GuardEvent): void {
    const { folder, reaction, state } = data;
    const captured = kind === "reaction" && reaction === "capture" && state === "done";
    if (typeof folder !== "string" || !(captured || kind === "evidence-kept")) return;
    this.#waiting.push(folder);
    this.#later();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#helper?.[Symbol.dispose]();
  }

  #leftOver(): string[] {
    const { home, config } = this.#context;
    if (config.compress === "none") return [];
    try {
      using store = Store.open(home);
      const rows = store.all(
        "SELECT folder FROM evidence WHERE pruned_at IS NULL AND (decision IS NOT NULL OR kind = 'end')",
      );
      return rows.map(({ folder }) => String(folder)).filter((folder) => isPlain(folder));
    } catch {
      // That the store cannot be used is told by who keeps it.
      return [];
    }
  }

  #later(): void {
    if (this.#over || this.#waiting.length === 0 || this.#helper !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), LATER_MS).unref();
  }

  async #look(): Promise<void> {
    const { config } = this.#context;
    if (this.#isBusy()) return this.#later();
    const folder = this.#waiting.shift();
    if (folder !== undefined && config.compress !== "none" && isPlain(folder)) {
      await this.#pack(folder);
    }
    this.#later();
  }

  #isBusy(): boolean {
    try {
      return jobsAtWork(this.#context.home) > 0;
    } catch (error) {
      // A damaged journal: whoever packs would be refused too.
      this.#onTrouble(`evidence stays uncompressed: ${String(error)}`);
      this.#waiting.length = 0;
      return true;
    }
  }

  async #pack(folder: string): Promise<void> {
    const reply = await this.#ask({ folder });
    if (this.#over) return;
    if (reply.ended !== undefined) return this.#tellTrouble(folder, reply.ended);
    const { answer } = reply;
    if (!answer.ok) return this.#tellTrouble(folder, `${answer.code}: ${answer.message}`);
    this.#context.tell("evidence-compressed", undefined, { folder, ...answer.outcome });
  }

  /** While it works nothing else begins; whatever becomes of it, others may then. */
  async #ask(order: StorageOrder): Promise<Reply<WorkAnswer>> {
    using helper = new Helper("storage-worker", order);
    this.#helper = helper;
    try {
      return await helper.ask({}, LIMIT_MS);
    } finally {
      this.#helper = undefined;
    }
  }

  #tellTrouble(folder: string, why: string): void {
    // Somebody deleted it, or has packed it by hand.
    if (isPlain(folder)) this.#onTrouble(`${folder} stays uncompressed: ${why}`);
  }
}

function isPlain(folder: string): boolean {
  return existsSync(folder) && !existsSync(join(folder, STORAGE));
}
