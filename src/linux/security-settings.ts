import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A setting of the whole kernel that decides what root may still do to it. */
export type SecuritySetting = {
  /** The kernel's own name for it: `modules_disabled`. */
  readonly name: string;
  readonly value: number;
};

type Place = { readonly name: string; readonly size: 1 | 4; at(kernel: Kernel): GuestVirtual };

const symbol = (name: string, size: 1 | 4 = 4): Place => ({
  name,
  size,
  at: (kernel) => kernel.symbol(name),
});

/** Where each lies. Settings of features that a kernel was built without are left out. */
const PLACES: readonly Place[] = [
  // enum lockdown_reason (security/lockdown/lockdown.c): how much is forbidden.
  { ...symbol("kernel_locked_down"), name: "lockdown" },
  // kexec has a variable of that name too, so the module parameter has to tell where its own is.
  { name: "sig_enforce", size: 1, at: (kernel) => parameterVariable(kernel, "sig_enforce") },
  symbol("modules_disabled"),
  symbol("kexec_load_disabled"),
  symbol("kptr_restrict"),
  symbol("dmesg_restrict"),
  symbol("ptrace_scope"),
  symbol("sysctl_unprivileged_bpf_disabled"),
  symbol("sysctl_perf_event_paranoid"),
  symbol("randomize_va_space"),
];

/** All of them that this kernel has, in a fixed order; NaN for one that cannot be read. */
export function securitySettings(kernel: Kernel): SecuritySetting[] {
  return PLACES.flatMap(({ name, size, at }) => {
    const address = at(kernel);
    if (address !== address) return [];
    const value = size === 1 ? kernel.space.u8(address) : kernel.space.i32(address);
    return [{ name, value }];
  });
}

/** The variable behind a parameter of the kernel itself: `arg` of its struct kernel_param. */
function parameterVariable(kernel: Kernel, name: string): GuestVirtual {
  return kernel.reader("kernel_param", "arg")(kernel.symbol(`__param_${name}`));
}

/** One letter a bit of `tainted_mask`, `taint_flags` of kernel/panic.c. */
export const TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ";

/** The kernel's own taints as letters (`tainted_mask`); undefined where they cannot be read. */
export function kernelTaints(kernel: Kernel): string | undefined {
  const mask = kernel.space.u32(kernel.requireSymbol("tainted_mask"));
  if (mask !== mask) return undefined;
  return Array.from(TAINT_LETTERS, (letter, bit) =>
    Math.floor(mask / 2 ** bit) % 2 === 1 ? letter : "",
  ).join("");
}

const MAX_COMMAND_LINE = 4096;

/** The words that the kernel was booted with (`saved_command_line`, init/main.c). */
export function bootWords(kernel: Kernel): readonly string[] {
  const text = kernel.space.pointer(kernel.symbol("saved_command_line"));
  return kernel.space.string(text, MAX_COMMAND_LINE)?.split(/\s+/) ?? [];
}

/** Names of the levels of `lockdown`, as /sys/kernel/security/lockdown has them. */
export function lockdownLevels(kernel: Kernel): ReadonlyMap<string, number> {
  const level = (name: string): number =>
    kernel.types.enumerator("lockdown_reason", `LOCKDOWN_${name}`) ?? Number.NaN;
  return new Map([
    ["none", 0],
    ["integrity", level("INTEGRITY_MAX")],
    ["confidentiality", level("CONFIDENTIALITY_MAX")],
  ]);
}
