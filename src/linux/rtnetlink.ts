import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback } from "./callback.ts";
import type { Kernel } from "./kernel.ts";

/** RTNL_FAMILY_MAX + 1, and the messages that every kernel since 5.10 knows (uapi/linux/rtnetlink.h). */
const MAX_FAMILIES = 130;
const MESSAGES = 100;
const MEMBERS = ["doit", "dumpit"];

/**
 * What answers rtnetlink's messages, which `ip` asks for devices, addresses and routes: by family and
 * kind of message (`rtnl_msg_handlers`, net/core/rtnetlink.c).
 */
export function* messageHandlers(kernel: Kernel, budget: Budget): Generator<Callback> {
  const table = kernel.symbol("rtnl_msg_handlers");
  if (table !== table || kernel.types.struct("rtnl_link") === 0) return;
  const size = (kernel.symbols.at(table)?.size ?? 0) / 8;
  const functions = MEMBERS.map((name) => ({ name, read: kernel.reader("rtnl_link", name) }));
  for (let family = 0; family < Math.min(size, MAX_FAMILIES); family++) {
    const links: GuestVirtual = kernel.space.pointer(table + family * 8);
    if (!(links < 0)) continue;
    for (let message = 0; message < MESSAGES && budget.step(); message++) {
      const holder = kernel.space.pointer(links + message * 8);
      if (!(holder < 0)) continue;
      for (const { name, read } of functions) {
        const target = read(holder);
        const what = `${name} of rtnetlink message ${message} of family ${family}`;
        if (target !== 0) yield { what, function: target, holder };
      }
    }
  }
}
