import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernel } from "../harness/debian-kernel.ts";
import { parseKernel } from "../harness/guest-matrix.ts";
import { bootTiny } from "../harness/guest.ts";
import type { Guest } from "../harness/guest.ts";
import { helperProgram } from "../harness/helper-program.ts";
import type { Hardware } from "../harness/qemu-arguments.ts";

export type KernelViewGuest = Pick<Hardware, "ram" | "cpus" | "memory" | "machine"> & {
  readonly name: string;
  /** As `parseKernel` takes it. */
  readonly kernel: string;
  readonly levels: 4 | 5;
};

/** An older and a newer layout of nearly everything, and both kinds of paging. */
export const kernelViewGuests: readonly KernelViewGuest[] = [
  { name: "6.1, 4-level paging", kernel: "bookworm/cloud", levels: 4 },
  { name: "6.12, 5-level paging", kernel: "trixie/cloud", levels: 5 },
];

/** A guest in which every view of the kernel has something to show. */
export async function bootKernelViewGuest(entry: KernelViewGuest): Promise<Guest> {
  const objects = await helperProgram("bpf-zoo");
  const disks = mkdtempSync(join(tmpdir(), "kvmsec-disks-"));
  const disk = (name: string) => {
    const file = join(disks, name);
    writeFileSync(file, "");
    truncateSync(file, 64 * 2 ** 20);
    return { file, format: "raw" } as const;
  };
  const { name: _, kernel: wish, levels, ...hardware } = entry;
  const guest = await bootTiny({
    ...hardware,
    kernel: await kernel(parseKernel(wish)),
    cpu: levels === 5 ? "max" : "max,la57=off",
    tools: ["dd"],
    // On a busy host the timer check of QEMU's emulation fails now and then.
    append: "no_timer_check",
    disks: [disk("files"), disk("swap")],
    modules: ["ext4"],
    files: { "/usr/bin/bpf-zoo": { data: readFileSync(objects), mode: 0o755 } },
    availableModules: ["bridge", "nf_tables", "veth", "overlay", "dummy"],
  });
  // QEMU has them open.
  rmSync(disks, { recursive: true });
  // Before anything is traced: ftrace remembers init functions of modules that are loaded then.
  await guest.run("for module in bridge nf_tables veth overlay dummy; do modprobe $module; done");
  await guest.run("setsid bpf-zoo > /run/bpf-zoo 2>&1 < /dev/null &");
  await guest.run("until grep -q ready /run/bpf-zoo; do sleep 0.1; done");
  return guest;
}
