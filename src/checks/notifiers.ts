import { notifiers as chainOf } from "../linux/notifier.ts";
import type { ChainKind } from "../linux/notifier.ts";
import type { Check } from "./check.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

type Chain = readonly [symbol: string, kind: ChainKind];

/** Chains that tell what is typed (drivers/tty/vt). */
const KEYBOARD: readonly Chain[] = [
  ["keyboard_notifier_list", "atomic"],
  ["vt_notifier_list", "atomic"],
];
/** Chains on which code waits to be called again: faults, modules, processes, network, power. */
const OTHERS: readonly Chain[] = [
  ["die_chain", "atomic"],
  ["panic_notifier_list", "atomic"],
  ["restart_handler_list", "atomic"],
  ["reboot_notifier_list", "blocking"],
  ["module_notify_list", "blocking"],
  ["munmap_notifier", "blocking"],
  ["task_exit_notifier", "blocking"],
  ["task_free_notifier", "atomic"],
  ["oom_notify_list", "blocking"],
  ["pm_chain_head", "blocking"],
  ["usb_notifier_list", "blocking"],
  ["crypto_chain", "blocking"],
  ["inetaddr_chain", "blocking"],
  ["inetaddr_validator_chain", "blocking"],
  ["inet6addr_chain", "atomic"],
  ["netdev_chain", "raw"],
  ["netevent_notif_chain", "atomic"],
  ["netlink_chain", "blocking"],
  ["inet6addr_validator_chain", "blocking"],
  ["x86_mce_decoder_chain", "blocking"],
  ["pvclock_gtod_chain", "raw"],
  ["vmap_notify_list", "blocking"],
  ["blocking_lsm_notifier_chain", "blocking"],
  ["memory_chain", "blocking"],
  ["acpi_chain_head", "blocking"],
  ["vmfork_chain", "blocking"],
  ["cpufreq_policy_notifier_list", "blocking"],
];

/** Each callback of the kernel's notifier chains is code of somebody who may listen there. */
export const notifiers: Check = {
  id: "notifiers",
  proves:
    "Each callback on the kernel's notifier chains is a function of the kernel or a listed module, and nobody but the kernel and the distribution's modules listens to the keyboard.",
  reads:
    "keyboard_notifier_list, vt_notifier_list, die_chain, panic_notifier_list, module_notify_list, reboot_notifier_list, netdev_chain and others",
  attack: ["T1014", "T1056.001"],
  limits:
    "A module on the kernel's list may listen to everything but the keyboard. A module that forged its signature state passes for the distribution's.",
  run(context) {
    const { kernel } = context;
    tellOwnerProblems(context);
    let looked = 0;
    for (const chain of [...KEYBOARD, ...OTHERS]) {
      const [symbol, kind] = chain;
      const head = kernel.symbol(symbol);
      if (head !== head) continue;
      const keyboard = KEYBOARD.includes(chain);
      for (const { block, call } of chainOf(kernel, head, kind, context.unseen.bind(context))) {
        looked++;
        checkFunction(context, {
          what: `A callback of ${symbol}`,
          subject: { chain: symbol, block: kernel.format(block) },
          target: call,
          slot: block,
          allowed: keyboard ? "distribution" : "listed",
          module: "high",
          ...(keyboard ? { attack: ["T1056.001", "T1014"] } : {}),
        });
      }
    }
    context.cover(looked);
  },
};
