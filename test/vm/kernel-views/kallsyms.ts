import type { Kernel } from "../../../src/linux/kernel.ts";
import type { Guest } from "../harness/guest.ts";

export type KallsymsLine = {
  readonly address: number;
  readonly type: string;
  readonly name: string;
  /** What stands in brackets behind it; undefined for the kernel's own. */
  readonly module: string | undefined;
};

/** The guest's own /proc/kallsyms. */
export async function kallsyms(guest: Guest, kernel: Kernel): Promise<KallsymsLine[]> {
  await guest.run("echo 0 > /proc/sys/kernel/kptr_restrict");
  const text = (await guest.get("/proc/kallsyms")).toString("latin1").trimEnd();
  return text.split("\n").map((line) => {
    const [, digits, type, name, module] = /^(\S+) (\S) (\S+)(?:\t\[(.*)\])?$/.exec(line) ?? [];
    const address = kernel.space.folding.foldBig(BigInt(`0x${digits}`));
    return { address, type: type ?? "?", name: name ?? line, module };
  });
}
