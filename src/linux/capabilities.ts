/** include/uapi/linux/capability.h, by number. */
const NAMES = [
  "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable",
  "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio",
  "sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time",
  "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog",
  "wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore",
].flatMap((line) => line.split(" ").map((name) => `CAP_${name.toUpperCase()}`));

/** All that a kernel since 5.9 knows. */
export const ALL_CAPABILITIES = 2 ** NAMES.length - 1;

/**
 * Names in a capability set, given as a number (41 bits today): `["CAP_KILL"]`, `["all"]` for
 * the full set. A bit that has no name yet is `CAP_41`.
 */
export function capabilityNames(set: number): string[] {
  if (set === ALL_CAPABILITIES) return ["all"];
  const names: string[] = [];
  for (let bit = 0, rest = set; rest >= 1 && bit < 64; bit++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) names.push(NAMES[bit] ?? `CAP_${bit}`);
  }
  return names;
}
