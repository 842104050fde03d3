import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { Modules } from "../../../src/linux/module.ts";
import type { Guest as Attached } from "../../../src/vm/guest.ts";
import type { Planted } from "./check-story.ts";
import type { RamEditor } from "./ram-editor.ts";

/** A protection that was written over in memory, past every interface of the kernel. */
export type SecurityTampering = Planted & {
  readonly title: string;
  readonly tamper: () => () => void;
};

/** TAINT_OOT_MODULE. */
const OUT_OF_TREE = 1 << 12;

function word(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

export function lockdownTamperings({ kernel }: Attached, editor: RamEditor): SecurityTampering[] {
  const check = "taint-and-lockdown";
  const [module] = new Modules(kernel).list(kernel.budget());
  assert.ok(module !== undefined);
  const enforce = kernel.reader("kernel_param", "arg")(kernel.requireSymbol("__param_sig_enforce"));
  return [
    {
      title: "a module taints and the kernel does not say so",
      check,
      tamper: () => editor.write(module + kernel.offset("module", "taints"), word(OUT_OF_TREE)),
      says: /Module \w+ taints the kernel with O, but the kernel says that it is not/,
    },
    {
      title: "lockdown is lifted",
      check,
      tamper: () => editor.write(kernel.requireSymbol("kernel_locked_down"), word(0)),
      says: /booted with lockdown=integrity, but lockdown is 0/,
    },
    {
      title: "modules need no signature any more",
      check,
      tamper: () => editor.write(enforce, Uint8Array.of(0)),
      says: /sig_enforce went from 1 to 0 while watched/,
    },
  ];
}

export function auditTamperings({ kernel }: Attached, editor: RamEditor): SecurityTampering[] {
  const check = "security-modules";
  const exit = kernel.requireSymbol("audit_filter_list") + 4 * kernel.types.size("list_head");
  return [
    {
      title: "the kernel counts no audit rules",
      check,
      tamper: () => editor.write(kernel.requireSymbol("audit_n_rules"), word(0)),
      says: /of 2 for system calls 0 are counted/,
    },
    {
      title: "audit rules are shown and not applied",
      check,
      tamper: () => emptyList(editor, exit),
      says: /3 are shown, [12] are applied/,
    },
    {
      title: "auditing is turned off",
      check,
      tamper: () => editor.write(kernel.requireSymbol("audit_enabled"), word(0)),
      says: /Auditing was turned off/,
    },
  ];
}

function emptyList(editor: RamEditor, head: GuestVirtual): () => void {
  const next = editor.writePointer(head, head);
  const previous = editor.writePointer(head + 8, head);
  return () => {
    previous();
    next();
  };
}

export function apparmorTamperings({ kernel }: Attached, editor: RamEditor): SecurityTampering[] {
  const check = "security-modules";
  return [
    {
      title: "AppArmor complains only",
      check,
      tamper: () => editor.write(kernel.requireSymbol("aa_g_profile_mode"), word(1)),
      says: /AppArmor's mode of enforcing was turned off/,
    },
    {
      title: "AppArmor is not in force any more",
      check,
      tamper: () => editor.write(kernel.requireSymbol("apparmor_enabled"), Uint8Array.of(0)),
      says: /AppArmor was started but is not in force/,
    },
  ];
}

export function selinuxTamperings({ kernel }: Attached, editor: RamEditor): SecurityTampering[] {
  const check = "security-modules";
  const state = kernel.requireSymbol("selinux_state");
  const set = (member: string, value: number) => (): (() => void) =>
    editor.write(state + kernel.offset("selinux_state", member), Uint8Array.of(value));
  return [
    {
      title: "SELinux allows everything and says that it does not",
      check,
      tamper: set("enforcing", 0),
      says: /SELinux does not enforce its policy, but tells programs that it does/,
    },
    {
      title: "SELinux is in force without a policy",
      check,
      tamper: set("initialized", 1),
      says: /SELinux is in force but has no policy/,
    },
  ];
}
