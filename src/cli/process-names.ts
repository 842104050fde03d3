import type { NamedProcess } from "../linux/named-process.ts";

/** `612/sshd,1/systemd`, as netstat shows them. */
export function processNames(processes: readonly NamedProcess[]): string {
  return processes.map(({ pid, comm }) => `${pid}/${comm}`).join(",");
}
