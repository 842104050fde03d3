import { KvmsecError } from "../base/errors.ts";
import type { AllowEntry } from "../checks/allow-list.ts";
import { checks } from "../checks/registry.ts";
import { sweep } from "../checks/sweep.ts";
import { attach } from "../vm/guest.ts";
import type { Guest } from "../vm/guest.ts";
import { KernelFileSearch } from "../files/kernel-file-search.ts";
import { readProcessors } from "../vm/processors.ts";
import { onRunningKernel, requireBooted } from "../vm/running-kernel.ts";
import { CheckTurns } from "./check-turns.ts";
import type { Turn } from "./check-turns.ts";
import type { LivenessRule } from "./config.ts";
import { filesOf } from "./inspect.ts";
import { lookForLife } from "./liveness.ts";
import type { ScannerAnswer, SweepAnswer } from "./scanner-process.ts";

/** What the first word of the scanner's command line tells it, as JSON. */
export type ScannerOrder = {
  readonly pid: number;
  readonly startTime: number;
  readonly kernelFile: string | null;
};

/** What a look is to hold. */
export type LookOrder = {
  readonly liveness: readonly LivenessRule[];
  readonly allow: readonly AllowEntry[];
  readonly turn: Turn;
};

/** How long the kernel's banner may be. */
const MAX_BANNER = 512;

// This file is the program of a scanner: one process for one guest. Whatever the guest's memory
// does to it (a fault, a SIGBUS, a hang) stays in it. It looks when it is told to, and ends with
// the guard: the channel between them closes, however the guard went.
const order = JSON.parse(process.argv[2] ?? "null") as ScannerOrder;
process.on("disconnect", () => process.exit(0));
let scanner: Scanner | undefined;
process.on("message", (asked) => {
  void answer(asked as LookOrder).then((message) => process.send?.(message));
});

async function answer(asked: LookOrder): Promise<ScannerAnswer> {
  try {
    scanner ??= await Scanner.open(order);
    return { ok: true, ...(await scanner.look(asked)) };
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
  }
}

/** A guest that was understood, and what tells that its kernel is still the same. */
class Scanner {
  readonly #guest: Guest;
  readonly #search: KernelFileSearch;
  readonly #boot: string;
  readonly #turns = new CheckTurns();

  private constructor(guest: Guest, search: KernelFileSearch) {
    this.#guest = guest;
    this.#search = search;
    this.#boot = bootOf(guest);
  }

  static async open({ pid, startTime, kernelFile }: ScannerOrder): Promise<Scanner> {
    const guest = await attach(`pid:${pid}`);
    if (guest.target.kind !== "qemu" || guest.target.qemu.startTime !== startTime) {
      throw new KvmsecError("KVMSEC_TARGET_GONE", `Process ${pid} is another one by now.`);
    }
    requireBooted(guest);
    const search = new KernelFileSearch(() => filesOf(guest, kernelFile ?? undefined));
    return new Scanner(guest, search);
  }

  /** One sweep. What was seen while the guest went away or booted anew counts for nothing. */
  async look({ liveness, allow, turn }: LookOrder): Promise<SweepAnswer> {
    const guest = this.#guest;
    const before = process.cpuUsage();
    this.#mustBeTheSame();
    const due = this.#turns.choose(checks, Date.now(), turn);
    const host = { ...this.#search.files, ...(await readProcessors(guest)) };
    const { life, ...seen } = await onRunningKernel(guest, () => {
      const found = sweep(guest.kernel, due, host, allow);
      const life = liveness.length > 0 ? lookForLife(guest.kernel, liveness) : undefined;
      this.#mustBeTheSame();
      return { ...found, life };
    });
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1000;
    this.#turns.ran(seen.checks, Date.now(), cpuMs);
    return {
      startedAt: seen.startedAt.toISOString(),
      durationMs: seen.durationMs,
      cpuMs,
      // Its low half is enough to see it move.
      tick: guest.kernel.space.u32(guest.kernel.symbol("jiffies_64")),
      checks: [...seen.checks, ...(life === undefined ? [] : [life.result])],
      findings: [...seen.findings, ...(life?.findings ?? [])],
      allowed: seen.allowed,
      release: guest.kernel.space.string(guest.kernel.symbol("linux_banner"), MAX_BANNER) ?? null,
    };
  }

  #mustBeTheSame(): void {
    this.#guest.requireAlive();
    this.#guest.kernel.refresh();
    if (bootOf(this.#guest) === this.#boot) return;
    throw new KvmsecError("KVMSEC_GUEST_REBOOTED", "The guest boots, or has another kernel.");
  }
}

/**
 * What changes when a guest boots anew: where its kernel lies, what it calls itself, and
 * `system_state` (include/linux/kernel.h), which is SYSTEM_RUNNING only after the boot.
 */
function bootOf({ kernel }: Guest): string {
  const banner = kernel.space.string(kernel.symbol("linux_banner"), MAX_BANNER);
  return `${kernel.space.u32(kernel.symbol("system_state"))} ${banner}`;
}
