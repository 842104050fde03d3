import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Guest } from "./guest.ts";
import { helperProgram } from "./helper-program.ts";

/** Kernel modules that a guest needs for `populate`; for `modules` of `bootTiny`. */
export const populationModules: readonly string[] = [
  "dummy veth bridge 8021q overlay",
  "unix_diag inet_diag tcp_diag udp_diag raw_diag af_packet_diag netlink_diag",
].flatMap((line) => line.split(" "));

const programs = ["odd-processes", "odd-sockets", "odd-files", "bpf-objects"] as const;

/** `odd-tasks` is not among what is started unless told: it is for views of tasks only. */
export type PopulationPart = (typeof programs)[number] | "odd-tasks" | "system";

/**
 * What was started: the scenario's name in the C and shell files → its process. Two of them have
 * ended by then: `orphan` (a process named "orphaned" is left) and `bpf_pinned`.
 */
export type Population = ReadonlyMap<string, number>;

/**
 * Brings a guest into a busy but known state: processes with odd names and arguments, sockets of
 * every kind, deleted and memory-only executables, namespaces, mounts, network devices, cgroups,
 * eBPF. All of it stays as it is until the guest ends. Takes a second or two.
 */
export async function populate(
  guest: Guest,
  parts: readonly PopulationPart[] = [...programs, "system"],
): Promise<Population> {
  const told: string[] = [];
  for (const part of parts) {
    if (part === "system") {
      await guest.put("/tmp/populate.sh", readFileSync(join(import.meta.dirname, "populate.sh")));
      told.push(await guest.run("bash /tmp/populate.sh"));
    } else {
      const program = `/usr/sbin/${part}`;
      await guest.put(program, readFileSync(await helperProgram(part)), 0o755);
      told.push(await guest.run(program));
    }
  }
  const rows = told.join("").trim().split("\n");
  return new Map(rows.map((row) => row.split(" ")).map(([name, pid]) => [name, Number(pid)]));
}
