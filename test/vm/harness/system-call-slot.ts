import type { Kernel } from "../../../src/linux/kernel.ts";
import { writeGuest } from "../../../src/response/guest-write.ts";
import { attach } from "../../../src/vm/guest.ts";
import type { Home } from "../../../src/vm/home.ts";

/** sysfs(2), which nobody calls. */
const NUMBER = 139;

const slotOf = (kernel: Kernel): number => kernel.requireSymbol("sys_call_table") + NUMBER * 8;

/** Where the call that nobody makes leads, in a guest or a dump of it. */
export async function systemCallSlot(target: string): Promise<string> {
  using guest = await attach(target);
  return Buffer.from(guest.kernel.space.bytes(slotOf(guest.kernel), 8) ?? []).toString("hex");
}

/** Leads it elsewhere; returns what stands there now and what stood there. */
export async function tamperSystemCall(
  home: Home,
  target: string,
): Promise<{ before: string; after: string }> {
  using guest = await attach(target);
  const { kernel } = guest;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(kernel.space.folding.unfold(kernel.requireSymbol("__x64_sys_getpid")));
  return await writeGuest(home, guest, slotOf(kernel), bytes, "a test");
}
