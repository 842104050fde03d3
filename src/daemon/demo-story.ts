import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import { verifyPackage } from "../evidence/verify.ts";
import type { Kernel } from "../linux/kernel.ts";
import { capture } from "../response/capture.ts";
import { writeGuest } from "../response/guest-write.ts";
import { respond } from "../response/respond.ts";
import { restore } from "../response/restore.ts";
import { saveCleanState } from "../response/save-clean.ts";
import { openConsole, waitForLogin } from "../vm/console-link.ts";
import { attach } from "../vm/guest.ts";
import { createVm, openVm, startVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import { openImage } from "../vm/images.ts";
import { interrupted } from "../vm/run-tool.ts";
import { inspect, inspectWith, filesOf } from "./inspect.ts";

/** The steps of the story, in their order. */
export const demoSteps = [
  "started",
  "baseline",
  "tampered",
  "detected",
  "frozen",
  "captured",
  "restored",
  "clean",
] as const;
export type DemoStepName = (typeof demoSteps)[number];

/** A step that really happened. */
export type DemoStep = {
  readonly step: DemoStepName;
  readonly durationMs: number;
  /** One sentence for people. */
  readonly says: string;
  /** What scripts may want to know. */
  readonly facts: Readonly<Record<string, unknown>>;
};

export type DemoOptions = {
  readonly home: Home;
  /** Of the throwaway VM, which must not be there yet. */
  readonly name: string;
  readonly image: string;
  readonly evidence: string;
  readonly signal: AbortSignal;
  /** Told what a step is about to do, and how far the guest's boot is. */
  readonly onStage: (text: string) => void;
  readonly onDetail: (text: string) => void;
};

const MEMORY = 512 * 2 ** 20;
const BOOT_MS = 300_000;
const DETECT_MS = 60_000;
/** sysfs(2), which nothing has called for twenty years, is made to lead to getpid(2). */
const SLOT = 139;
const HANDLER = "__x64_sys_getpid";

type Said = { readonly says: string } & Readonly<Record<string, unknown>>;

/**
 * The whole story on one throwaway guest. Each step is told when it is done; one that does not
 * happen as it should ends the story with an error. The VM is left running.
 */
export async function* demoStory(options: DemoOptions): AsyncGenerator<DemoStep> {
  const story = new Story(options);
  for (const step of demoSteps) {
    if (options.signal.aborted) throw interrupted();
    const start = performance.now();
    const { says, ...facts } = await story[step]();
    yield { step, durationMs: performance.now() - start, says, facts };
  }
}

class Story implements Record<DemoStepName, () => Promise<Said>> {
  readonly #options: DemoOptions;
  #before = "";
  #after = "";

  constructor(options: DemoOptions) {
    this.#options = options;
  }

  async started(): Promise<Said> {
    const { home, name, image, signal, onStage, onDetail } = this.#options;
    onStage("starting a throwaway guest");
    await createVm(name, { image, memoryBytes: MEMORY }, home);
    const run = await startVm(name, { onStage }, home);
    onStage("booting it");
    using link = await openConsole(openVm(name, home), home);
    await Promise.race([waitForLogin(link, name, BOOT_MS, onDetail), aborted(signal)]);
    return {
      says: `${name} booted from ${image} under ${run.accelerator.toUpperCase()}, pid ${run.pid}`,
      vm: name,
      pid: run.pid,
      image,
      accelerator: run.accelerator,
    };
  }

  async baseline(): Promise<Said> {
    const { home, name, onStage } = this.#options;
    onStage("sweeping it, and saving its clean state");
    const { pauseMs } = await saveCleanState(home, name, inspect);
    return {
      says: `a sweep found it clean, and that state is saved (pause ${Math.round(pauseMs)} ms)`,
      verdict: "clean",
      pauseMs,
    };
  }

  async tampered(): Promise<Said> {
    const { home, name, onStage } = this.#options;
    onStage("tampering with its kernel");
    using guest = await attach(name);
    const { kernel } = guest;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(kernel.space.folding.unfold(kernel.requireSymbol(HANDLER)));
    const slot = slotOf(kernel);
    const write = await writeGuest(home, guest, slot, bytes, "the demo's harmless tampering");
    this.#before = write.before;
    this.#after = write.after;
    must(this.#before !== this.#after, "the slot led there already");
    return {
      says: `system call ${SLOT} now leads to ${HANDLER} (8 bytes at ${write.address})`,
      ...write,
    };
  }

  async detected(): Promise<Said> {
    const { name, signal, onStage } = this.#options;
    onStage("sweeping");
    using guest = await attach(name);
    const files = filesOf(guest);
    const deadline = Date.now() + DETECT_MS;
    for (;;) {
      const { verdict, reasons } = await inspectWith(guest, files);
      if (verdict === "tampered") {
        return { says: reasons[0] ?? "", verdict, findings: reasons };
      }
      if (signal.aborted) throw interrupted();
      must(Date.now() < deadline, "no sweep found the tampering");
      await sleep(100);
    }
  }

  async frozen(): Promise<Said> {
    const { home, name, onStage } = this.#options;
    onStage("freezing it");
    const { outcome, durationMs } = await respond(home, name, "freeze");
    return { says: "every virtual processor stands still", freezeMs: durationMs, ...outcome };
  }

  async captured(): Promise<Said> {
    const { home, name, evidence, onStage } = this.#options;
    const { manifest, verdict } = await capture(home, name, evidence, { inspect, onStage });
    onStage("verifying the package");
    const { faults, signer } = await verifyPackage(evidence);
    must(faults.length === 0, "the package does not verify");
    using core = await attach(`file:${join(evidence, "memory.elf")}`);
    must(this.#slotIn(core.kernel) === this.#after, "the package does not hold the tampering");
    const files = manifest.files.length;
    return {
      says: `memory, devices, disk and every view are in ${evidence}: ${files} files, signed and verified`,
      folder: evidence,
      files,
      signer,
      verdict,
    };
  }

  async restored(): Promise<Said> {
    const { home, name, onStage } = this.#options;
    const done = await restore(home, name, { inspect, evidence: false, onStage });
    must(done.from === "clean-state", "there was no clean state");
    return {
      says: `a clean guest runs ${Math.round(done.runningMs)} ms after the evidence was safe, ${Math.round(done.downMs)} ms after the old one ended`,
      pid: done.run.pid,
      runningMs: done.runningMs,
      downMs: done.downMs,
    };
  }

  async clean(): Promise<Said> {
    const { home, name, image, onStage } = this.#options;
    onStage("sweeping the restored guest");
    using guest = await attach(name);
    const { verdict, reasons, gaps } = await inspect(guest, openImage(home, image).vmlinuz);
    must(verdict === "clean", reasons.join("; "));
    must(this.#slotIn(guest.kernel) === this.#before, "the slot is not what it was");
    return {
      says: `a sweep finds nothing, and system call ${SLOT} leads where it did`,
      verdict,
      gaps,
    };
  }

  #slotIn(kernel: Kernel): string | undefined {
    const bytes = kernel.space.bytes(slotOf(kernel), 8);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
  }
}

function slotOf(kernel: Kernel): number {
  return kernel.requireSymbol("sys_call_table") + SLOT * 8;
}

function must(happened: boolean, otherwise: string): void {
  if (happened) return;
  throw new KvmsecError("KVMSEC_DEMO_FAILED", `The demo ended: ${otherwise}.`);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) return reject(interrupted());
    signal.addEventListener("abort", () => reject(interrupted()), { once: true });
  });
}
