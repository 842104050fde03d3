import type { CommandEntry, CommandGroup } from "./command.ts";

/** Every command, in the order of the help text; a command's file is loaded only when it is called. */
export const commandGroups: readonly CommandGroup[] = [
  {
    heading: "Hosts and guests:",
    commands: [
      {
        name: "doctor",
        summary: "what this host can do, what is missing, how to get it",
        load: () => import("./commands/doctor.ts"),
      },
      {
        name: "targets",
        summary: "every QEMU on this host, and how well it can be watched",
        load: () => import("./commands/targets.ts"),
      },
      {
        name: "image",
        summary: "golden images: build, list, rm, export, import",
        load: () => import("./commands/image.ts"),
      },
      {
        name: "vm",
        summary:
          "life of a guest: create, start, stop, list, show, console, snapshot, restore, delete",
        load: () => import("./commands/vm.ts"),
      },
      {
        name: "packets",
        summary: "whether a VM's packets are kept: on, off",
        load: () => import("./commands/packets.ts"),
      },
      {
        name: "demo",
        summary:
          "the whole story on a throwaway guest: tampered, detected, frozen, captured, restored",
        load: () => import("./commands/demo.ts"),
      },
    ],
  },
  {
    heading: "Looking into a guest:",
    commands: [
      {
        name: "info",
        summary: "which kernel a guest runs, where it lies, how it pages",
        load: () => import("./commands/info.ts"),
      },
      {
        name: "ps",
        summary: "the guest's processes",
        load: () => import("./commands/ps.ts"),
      },
      {
        name: "threads",
        summary: "every thread of the guest",
        load: () => import("./commands/threads.ts"),
      },
      {
        name: "maps",
        summary: "what processes have mapped into their memory",
        load: () => import("./commands/maps.ts"),
      },
      {
        name: "files",
        summary: "the files that processes have open",
        load: () => import("./commands/files.ts"),
      },
      {
        name: "cgroups",
        summary: "control groups and the processes in them",
        load: () => import("./commands/cgroups.ts"),
      },
      {
        name: "sockets",
        summary: "the guest's sockets, by open files and by the kernel's tables",
        load: () => import("./commands/sockets.ts"),
      },
      {
        name: "netdevs",
        summary: "the guest's network devices and their addresses",
        load: () => import("./commands/netdevs.ts"),
      },
      {
        name: "netfilter",
        summary: "the functions that see packets through netfilter, and whose they are",
        load: () => import("./commands/netfilter.ts"),
      },
      {
        name: "packet-handlers",
        summary: "the functions that get packets from devices, and whose they are",
        load: () => import("./commands/packet-handlers.ts"),
      },
      {
        name: "mounts",
        summary: "what is mounted where, in every mount namespace",
        load: () => import("./commands/mounts.ts"),
      },
      {
        name: "modules",
        summary: "loaded kernel modules",
        load: () => import("./commands/modules.ts"),
      },
      {
        name: "probes",
        summary: "kprobes, uprobes, tracepoints, ftrace, perf and livepatches, and whom they call",
        load: () => import("./commands/probes.ts"),
      },
      {
        name: "bpf",
        summary: "BPF programs, maps and links, and who holds them",
        load: () => import("./commands/bpf.ts"),
      },
      {
        name: "syscalls",
        summary: "where every system call leads, by table and by dispatcher",
        load: () => import("./commands/syscalls.ts"),
      },
      {
        name: "idt",
        summary: "which function every interrupt and exception enters",
        load: () => import("./commands/idt.ts"),
      },
      {
        name: "dmesg",
        summary: "the kernel's log, with what the guest has cleared",
        load: () => import("./commands/dmesg.ts"),
      },
      {
        name: "pagecache",
        summary: "files as the guest holds them in memory: list them, extract one",
        load: () => import("./commands/pagecache.ts"),
      },
      {
        name: "disk",
        summary: "files on the guest's disks: list, ls, cat, extract",
        load: () => import("./commands/disk.ts"),
      },
      {
        name: "symbols",
        summary: "names and addresses of the kernel, its modules and generated code",
        load: () => import("./commands/symbols.ts"),
      },
      {
        name: "types",
        summary: "the kernel's structures as C, with offsets",
        load: () => import("./commands/types.ts"),
      },
      {
        name: "read",
        summary: "bytes at a kernel, physical or process's address",
        load: () => import("./commands/read.ts"),
      },
    ],
  },
  {
    heading: "Finding what was tampered with:",
    commands: [
      {
        name: "check",
        summary: "one full sweep: is this kernel still the one that booted?",
        load: () => import("./commands/check.ts"),
      },
      {
        name: "watch",
        summary: "sweeps until stopped; tells each finding when it comes and goes",
        load: () => import("./commands/watch.ts"),
      },
      {
        name: "scan",
        summary: "YARA rules over kernel memory, process memory and the page cache",
        load: () => import("./commands/scan.ts"),
      },
      {
        name: "baseline",
        summary: "what is known good of a guest: create, show, diff, accept",
        load: () => import("./commands/baseline.ts"),
      },
    ],
  },
  {
    heading: "Acting upon a guest:",
    commands: [
      {
        name: "respond",
        summary: "act upon a guest: freeze, isolate, restore, restart, repair, kill a process",
        load: () => import("./commands/respond.ts"),
      },
      {
        name: "capture",
        summary: "a guest's whole state into an evidence package",
        load: () => import("./commands/capture.ts"),
      },
      {
        name: "evidence",
        summary: "evidence packages: list, verify, show, revive, hold, release, prune",
        load: () => import("./commands/evidence.ts"),
      },
      {
        name: "snapshot",
        summary: "moments of a VM, memory included: create, list, restore, delete",
        load: () => import("./commands/snapshot.ts"),
      },
    ],
  },
  {
    heading: "The guard:",
    commands: [
      {
        name: "serve",
        summary: "the guard: watches every guest, decides by policy, freezes and captures",
        load: () => import("./commands/serve.ts"),
      },
      {
        name: "findings",
        summary: "findings of all guests and what became of them: list, show, ack",
        load: () => import("./commands/findings.ts"),
      },
      {
        name: "events",
        summary: "what the guard saw, decided and did; --follow, --verify",
        load: () => import("./commands/events.ts"),
      },
      {
        name: "approvals",
        summary: "what the policy decided and a person has to approve",
        load: () => import("./commands/approvals.ts"),
      },
      {
        name: "approve",
        summary: "lets the guard do what waits for a person's word",
        load: () => import("./commands/approve.ts"),
      },
      {
        name: "deny",
        summary: "what waits for a person's word is not done",
        load: () => import("./commands/deny.ts"),
      },
      {
        name: "policy",
        summary: "what a policy would do: try",
        load: () => import("./commands/policy.ts"),
      },
      {
        name: "config",
        summary: "configuration of the guard: check, schema",
        load: () => import("./commands/config.ts"),
      },
    ],
  },
];

export const commands: readonly CommandEntry[] = commandGroups.flatMap((group) => group.commands);
