import type { Kernel } from "./kernel.ts";
import { PageFrames } from "./page-frames.ts";

/** What SELinux does (struct selinux_state, security/selinux/include/security.h). */
export type SelinuxState = {
  /** It was chosen at boot. */
  readonly enabled: boolean;
  /** A policy was loaded. */
  readonly initialized: boolean;
  /** Undefined where the kernel was built such that it always enforces. */
  readonly enforcing: boolean | undefined;
  /** `struct selinux_policy` is there. */
  readonly policy: boolean;
  /** What programs are told by /sys/fs/selinux/status; undefined where nobody has asked yet. */
  readonly told: boolean | undefined;
};

/** Undefined where the kernel has no SELinux or its state cannot be read. */
export function selinuxState(kernel: Kernel): SelinuxState | undefined {
  const state = kernel.symbol("selinux_state");
  const { types } = kernel;
  if (state !== state || !types.has("selinux_state", "initialized")) return undefined;
  const initialized = kernel.reader("selinux_state", "initialized")(state);
  if (initialized !== initialized) return undefined;
  const enforcing = kernel.readerOf("selinux_state", "enforcing")?.(state);
  const enabled = kernel.space.i32(kernel.symbol("selinux_enabled_boot"));
  return {
    enabled: enabled === 1,
    initialized: initialized === 1,
    enforcing: enforcing === undefined ? undefined : enforcing === 1,
    policy: (kernel.readerOf("selinux_state", "policy")?.(state) ?? -1) !== 0,
    told: toldState(kernel, state),
  };
}

/** The page that /sys/fs/selinux/status maps; it is made when it is opened first. */
function toldState(kernel: Kernel, state: number): boolean | undefined {
  const page = kernel.readerOf("selinux_state", "status_page")?.(state) ?? 0;
  const member = kernel.types.member("selinux_kernel_status", "enforcing");
  if (!(page < 0) || member === undefined) return undefined;
  const frame = new PageFrames(kernel).physical(page);
  const bytes = kernel.memory.bytes(frame, member.offset + 4);
  return bytes === undefined ? undefined : bytes[member.offset] === 1;
}
