import assert from "node:assert/strict";
import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { lookWithFiles, lookWithoutFiles } from "../vm/harness/all-checks.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { randomOf } from "../vm/harness/fault-run.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest, GuestOptions } from "../vm/harness/guest.ts";
import { SilenceLog } from "../vm/harness/silence-log.ts";
import { sweepWhileBooting } from "../vm/harness/sweep-while-booting.ts";

/** One boot a seed; a part of them is asked for by KVMSEC_TEST_SEEDS=FIRST-LAST. */
const [FIRST, LAST] = (process.env["KVMSEC_TEST_SEEDS"] ?? "0-199").split("-").map(Number);

const kernels = [
  "bullseye/cloud",
  "bullseye/generic",
  "bookworm/cloud",
  "bookworm/generic",
  "bookworm/rt",
  "bookworm-backports/cloud",
  "trixie/cloud",
  "trixie/generic",
  "trixie/rt",
  "sid/cloud",
  "sid/generic",
  "trixie-backports/cloud",
  "trixie-backports/generic",
];
/** What people boot with, and what changes the kernel's code or its memory. */
const COMMAND_LINES = [
  "",
  "quiet",
  "pti=on",
  "mitigations=off",
  "mitigations=auto,nosmt",
  "spectre_v2=retpoline",
  "spectre_v2=retpoline,lfence",
  "slub_debug=FZPU",
  "init_on_alloc=1 init_on_free=1 page_poison=1 debug_pagealloc=on",
  "threadirqs",
  "maxcpus=1",
  "audit=1 apparmor=0",
  "lockdown=integrity",
  "transparent_hugepage=always hugepages=4",
  "nopvspin idle=poll",
  "nokprobes",
] as const;
const AFTER = 3;

/** 7.3 dies by itself while it turns the retpolines of its Rust code into those (apply_retpolines). */
function bootsWith(kernel: string, commandLine: string): boolean {
  return !(kernel.startsWith("trixie-backports/") && commandLine === "spectre_v2=retpoline,lfence");
}

/** Every kernel in turn, on a machine that the seed chooses; the kernel shuffles itself. */
function shapeOf(seed: number): { kernel: string; hardware: Partial<GuestOptions> } {
  const random = randomOf(seed);
  const pick = <T>(...values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const hardware = {
    machine: pick("q35", "pc", "microvm"),
    cpu: pick("max", "max,la57=off"),
    cpus: pick(1, 2, 3, 4),
    memory: pick("384M", "512M", "1G", "3G", "5G"),
    ram: pick("memfd", "file", "anonymous"),
    append: pick(...COMMAND_LINES),
  } as const;
  const kernel = kernels[seed % kernels.length]!;
  if (!bootsWith(kernel, hardware.append)) return { kernel, hardware: { ...hardware, append: "" } };
  return { kernel, hardware };
}

test(`clean boots with seeds ${FIRST} to ${LAST}`, async (t) => {
  const log = new SilenceLog();
  const failures: string[] = [];
  for (let seed = FIRST; seed <= LAST; seed++) {
    const { kernel: name, hardware } = shapeOf(seed);
    const kernel = await debianKernel(parseKernel(name));
    const where = `seed ${seed}: ${name} ${Object.values(hardware).join(" ")}`;
    const qemuName = `silent-${process.pid}-${seed}`;
    const booting = bootTiny({ ...hardware, kernel, name: qemuName });
    const during = await sweepWhileBooting(booting, qemuName, log, where);
    await using guest = await booting.catch((error: unknown) => {
      failures.push(`${where}: ${String(error).split("\n", 1)[0]}`);
      return undefined;
    });
    if (guest === undefined) continue;
    await sweepBooted(guest, log, where);
    // At once: a run of many boots may be cut short.
    const found = log.falseFindings;
    console.log(
      `${where}: ${during} sweeps while it booted; in all ${log.sweeps} sweeps, ${found} findings`,
    );
  }
  t.diagnostic(`${log.sweeps} sweeps; seen in part: ${log.partly}`);
  log.assertSilent();
  assert.deepEqual(failures, [], "every guest boots");
});

/** From memory alone, with all files and registers, and by somebody who has just come. */
async function sweepBooted(guest: Guest, log: SilenceLog, where: string): Promise<void> {
  using attached = await attach(`pid:${guest.pid}`);
  log.add(await lookWithoutFiles(attached)(), `${where}, without files`);
  const look = await lookWithFiles(guest, attached);
  for (let round = 0; round < AFTER; round++) log.add(await look(), `${where}, with files`);
}
