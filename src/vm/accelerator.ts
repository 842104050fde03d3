import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import { runUnderKvm } from "../native/kvm.ts";
import {
  firmwareImage,
  longModeCode,
  longModeInstruction,
  payloadAddress,
  realModeCode,
  tellPort,
  wellDone,
} from "./bare-metal-guest.ts";

export const acceleratorNames = ["kvm", "tcg"] as const;
export type AcceleratorName = (typeof acceleratorNames)[number];

/** Which accelerator guests get on this host, and why. */
export type Accelerator = {
  readonly accelerator: AcceleratorName;
  /** A sentence for people. */
  readonly reason: string;
  /** What is with /dev/kvm: it is not there, may not be opened, opens but cannot run Linux, or works. */
  readonly kvm: "absent" | "denied" | "broken" | "works";
};

/**
 * Finds out by trial whether KVM can run a stock Linux here: first a few bytes of real-mode and
 * long-mode code straight under /dev/kvm (milliseconds), then the same through QEMU, from its reset
 * vector on. Falls back to TCG, and says why. Never throws.
 */
export async function probeAccelerator(qemu = "qemu-system-x86_64"): Promise<Accelerator> {
  const refused = cannotOpen() ?? tryCode("real") ?? tryCode("long");
  if (refused !== undefined) return refused;
  const run = await runFirmware(qemu, "kvm");
  if (run.passed) return { accelerator: "kvm", reason: "KVM runs a long-mode guest", kvm: "works" };
  return broken(`QEMU could not run a bare-metal guest under KVM: ${run.said}`);
}

function cannotOpen(): Accelerator | undefined {
  if (process.arch !== "x64") {
    return tcg("absent", `this host is ${process.arch}, where KVM cannot run x86 guests`);
  }
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    if (systemCode(error) !== "ENOENT")
      return tcg("denied", `/dev/kvm may not be opened by this user`);
    return tcg("absent", "there is no /dev/kvm");
  }
}

function tryCode(mode: "real" | "long"): Accelerator | undefined {
  const code = mode === "real" ? realModeCode() : longModeCode();
  const run = runUnderKvm({ mode, address: payloadAddress, code }, tellPort);
  if (typeof run === "string") return broken(`/dev/kvm opens, but ${run}`);
  if (run.told === wellDone && run.exit === "hlt") return undefined;
  const instruction = mode === "long" ? longModeInstruction(run.rip - payloadAddress) : undefined;
  const at = instruction === undefined ? "" : ` at '${instruction}'`;
  return broken(`/dev/kvm opens, but ${mode}-mode code ends with ${run.exit}${at}`);
}

function broken(reason: string): Accelerator {
  return tcg("broken", `${reason}; a stock Linux cannot run under it`);
}

function tcg(kvm: Accelerator["kvm"], reason: string): Accelerator {
  return { accelerator: "tcg", reason, kvm };
}

export type FirmwareRun = { readonly passed: boolean; readonly said: string };

/** Patience for a guest of a few hundred instructions: it needs milliseconds, also under TCG. */
const PATIENCE_MS = 10_000;
/** isa-debug-exit makes QEMU leave with (byte << 1) | 1. */
const EXIT_WELL_DONE = (wellDone << 1) | 1;

/** Runs the bare-metal guest as QEMU's firmware, from the reset vector on. Never throws. */
export async function runFirmware(
  qemu: string,
  accelerator: AcceleratorName,
): Promise<FirmwareRun> {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-probe-"));
  try {
    const bios = join(folder, "guest.bin");
    writeFileSync(bios, firmwareImage());
    const cpu = accelerator === "kvm" ? "host" : "max";
    const machine = `-accel ${accelerator} -cpu ${cpu} -machine q35 -m 16 -nodefaults -no-user-config`;
    const ending = `-display none -no-reboot -device isa-debug-exit,iobase=${tellPort},iosize=4`;
    return await runQemu(qemu, [...`${machine} ${ending} -bios`.split(" "), bios]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runQemu(qemu: string, args: readonly string[]): Promise<FirmwareRun> {
  return new Promise((resolve) => {
    const child = spawn(qemu, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    const timer = setTimeout(() => {
      said += "no end within 10 s";
      child.kill("SIGKILL");
    }, PATIENCE_MS);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (said.length < 4096) said += text;
      // QEMU stays, stopped, after such an error.
      if (said.includes("KVM internal error")) child.kill("SIGKILL");
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ passed: false, said: error.message });
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      const first = said.trim().split("\n", 1)[0] ?? "";
      const status = `it ended with status ${code ?? "unknown"}`;
      resolve({ passed: code === EXIT_WELL_DONE, said: first === "" ? status : first });
    });
  });
}

/** The group that may open /dev/kvm, when it is a group's matter (`crw-rw----`); its number. */
export function kvmGroup(): number | undefined {
  const status = statSync("/dev/kvm", { throwIfNoEntry: false });
  return status !== undefined && (status.mode & 0o060) === 0o060 ? status.gid : undefined;
}
