import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Planted } from "./check-story.ts";
import type { Kernel } from "./debian-kernel.ts";
import type { Guest } from "./guest.ts";
import { ownModules } from "./own-modules.ts";

/** A kernel module of test/vm/modules, what it is told, and what a check has to say of it. */
export type Simulator = Planted & {
  readonly title: string;
  readonly module: string;
  /** Module parameters; `PID` stands for a process that sleeps. */
  readonly args: string;
  /** The technique works on this symbol of the kernel: where there is none it is left out. */
  readonly needs?: string;
  /** What somebody does in the guest once it is there, and what ends that. */
  readonly use?: { readonly begin: string; readonly end: string };
};

type Planting = { readonly undo: () => Promise<string>; readonly remove: () => Promise<string> };
type Loaded = Pick<Simulator, "module" | "args" | "use">;

/** An ordinary user. */
const USER = "setpriv --reuid=1000 --regid=1000 --clear-groups";
/**
 * A program that sleeps, for those who hide or promote processes, with a file, one that is shown
 * line by line, and a socket, for those who take over what it has open.
 */
const SLEEPER = `exec 5</etc/passwd 6</proc/net/tcp 7<>/dev/udp/127.0.0.1/9; ${USER} sleep 12345`;
const FILE = "pid=PID fd=5";
const LINES = "pid=PID fd=6";
const SOCKET = "pid=PID fd=7";

/** Loads simulators into one guest, one at a time. */
export class SimulatorBench {
  readonly #guest: Guest;
  readonly #folder: string;
  #pid = 0;

  private constructor(guest: Guest, folder: string) {
    this.#guest = guest;
    this.#folder = folder;
  }

  static async open(guest: Guest, kernel: Kernel): Promise<SimulatorBench> {
    const bench = new SimulatorBench(guest, await ownModules(kernel));
    const script = `ip link set lo up; bash -c '${SLEEPER.replace(USER, `exec ${USER}`)}'`;
    const started = await guest.run(`(${script}) >/dev/null 2>&1 </dev/null & echo $!`);
    bench.#pid = Number(started);
    // Until it is the program, and not the shell that becomes it.
    await guest.run(`until grep -q sleep /proc/${bench.#pid}/comm; do sleep 0.1; done`);
    return bench;
  }

  /** Inserts it; what is returned has it take everything back, and unloads it. */
  async plant({ module, args, use }: Loaded): Promise<Planting> {
    const file = `/root/${module}.ko`;
    await this.#guest.put(file, readFileSync(join(this.#folder, `${module}.ko`)));
    await this.#guest.run(`insmod ${file} ${args.replace("PID", String(this.#pid))}`);
    if (use !== undefined) await this.#guest.run(use.begin);
    const name = module.replaceAll("-", "_");
    const undo = "echo 1 > /sys/kernel/debug/simulator";
    return {
      undo: () => this.#guest.run(use === undefined ? undo : `${use.end}\n${undo}`),
      remove: () => this.#guest.run(`busybox rmmod ${name}`),
    };
  }
}

/** An ordinary user's shell that sends the signal, and goes on as root. */
const MAGIC = {
  begin: `${USER} sh -c 'kill -64 $$; exec sleep 54321' >/dev/null 2>&1 </dev/null &
    until grep -q "^Uid:.0" /proc/$(pgrep -f "^sleep 54321")/status; do sleep 0.1; done`,
  end: `kill $(pgrep -f "^sleep 54321"); while pgrep -f "^sleep 54321"; do sleep 0.1; done`,
};
const STRANGER = /nothing to do with it: own.* \[object_hook\]/;

/** Of most techniques two or three variants. */
export const simulators: readonly Simulator[] = [
  ...several("hide-process", "hidden-process", [
    ["a process out of the list of tasks", "pid=PID how=0", /not in the task list/],
    ["a process out of the table of pids", "pid=PID how=1", /not in the pid table/],
    ["a process out of both", "pid=PID how=2", /hidden: .*task list.*pid table/],
  ]),
  ...several("filter-names", "operations-tables", [
    ["/proc's folder listed by a module", "how=0", /iterate_shared.*listing \[filter_names\]/],
  ]),
  ...several("filter-names", "ftrace", [
    ["names of files filtered by ftrace", "how=1", /traced \[filter_names\]/],
  ]),
  ...several("filter-names", "kprobes", [
    ["names of files filtered by a kprobe", "how=2", /filldir64.*before \[filter_names\]/],
    ["names of files filtered by a kretprobe", "how=3", /filldir64.*returned \[filter_names\]/],
  ]),
  ...several("hide-socket", "operations-tables", [
    ["lines of /proc/net/tcp", "how=0", /tcp4_seq_ops.*shown \[hide_socket\]/],
    ["the opening of /proc/modules", "how=1", /modules_proc_ops.*opened \[hide_socket\]/],
  ]),
  ...several("hide-socket", "hidden-socket", [
    [
      "a socket off the table that lists show",
      `${SOCKET} how=2`,
      /udp socket .*is not on the table udp\.hash/,
    ],
    ["a socket off all tables", `${SOCKET} how=3`, /udp socket .*hidden from the hash view/],
  ]),
  ...several("syscall-slot", "syscall-table", [
    ["a slot of the table of system calls", "", /134 .*taken \[syscall_slot\]/],
  ]),
  ...several("syscall-slot", "syscall-table", [
    [
      "a slot of the table of 32-bit system calls",
      "table=ia32_sys_call_table",
      /134 .*ia32_sys_call_table.*taken \[syscall_slot\]/,
    ],
  ]).map((each) => ({ ...each, needs: "ia32_sys_call_table" })),
  ...several("syscall-slot", "syscall-dispatch", [
    [
      "a call in ia32_sys_call",
      "dispatcher=ia32_sys_call handler=__ia32_sys_swapoff",
      /115 .*taken \[syscall_slot\]/,
    ],
  ]).map((each) => ({ ...each, needs: "ia32_sys_call" })),
  ...several("syscall-slot", "syscall-dispatch", [
    ["a call in x64_sys_call", "handler=__x64_sys_sysfs", /139 .*taken \[syscall_slot\]/],
  ]).map((each) => ({ ...each, needs: "x64_sys_call" })),
  ...several("inline-hook", "kernel-text", [
    ["a jump at the start of a function", "", /tcp4_seq_show.*hook \[inline_hook\]/],
    ["a jump in what lists folders", "function=filldir64", /filldir64.*hook \[inline_hook\]/],
    ["a jump behind ftrace's site", "offset=9", /tcp4_seq_show\+0x9.*hook \[inline_hook\]/],
    ["a call sent to a module", "where=call", /tcp4_seq_show\+0x.*hook \[inline_hook\]/],
    [
      "a jump over an alternative",
      "function=compat_fillonedir where=alternative",
      /compat_fillonedir\+0x.*hook \[inline_hook\]/,
    ],
    ["a jump through a second mapping", "where=alias", /tcp4_seq_show.*hook \[inline_hook\]/],
  ]),
  ...several("inline-hook", "module-text", [
    ["a jump in another module", "function=dummy_xmit", /dummy.*hook \[inline_hook\]/],
  ]),
  ...several("registered-hook", "netfilter", [
    ["a netfilter hook", "kind=netfilter", /filter \[registered_hook\]/],
  ]),
  ...several("registered-hook", "packet-handlers", [
    ["a packet handler", "kind=packet", /packet \[registered_hook\]/],
  ]),
  ...several("registered-hook", "tracepoints", [
    ["a probe at a tracepoint", "kind=tracepoint", /sys_enter.*traced \[registered_hook\]/],
  ]),
  ...several("registered-hook", "notifiers", [
    ["a listener to the keyboard", "kind=keyboard", /keyboard.*noticed \[registered_hook\]/],
  ]),
  ...several("terminal-hook", "tty-operations", [
    ["a terminal's operations", "", /ttyS0.*lie where no table of functions belongs/],
  ]),
  ...several("ownerless-code", "timers", [
    ["a timer to memory of nobody", "kind=timer", /memory of nobody/],
  ]),
  ...several("ownerless-code", "kernel-pages", [
    ["code in memory of nobody", "kind=timer", /belongs to nobody/],
  ]),
  ...several("ownerless-code", "kernel-thread-impostor", [
    ["a kernel thread that calls itself a worker", "kind=thread", /kworker\/0:7/],
  ]),
  ...several("take-root", "root-without-cause", [
    ["a user turned into root in place", "pid=PID how=0", /root without a cause/],
  ]),
  ...several("take-root", "shared-credentials", [
    ["the kernel's own credentials given away", "pid=PID how=1", /kernel's own credentials/],
  ]),
  ...several("magic-signal", "root-without-cause", [
    ["a signal that makes whoever sends it root", "", /sleep.*root without a cause/],
  ]).map((each) => ({ ...each, use: MAGIC })),
  ...several("lsm-hook", "lsm-hooks", [
    ["a security module's hook replaced", "", /ptrace_traceme.*allowed \[lsm_hook\]/],
    ["a hook beside the security modules'", "beside=1", /ptrace_traceme.*allowed \[lsm_hook\]/],
  ]),
  ...several("pointer-hook", "kernel-data", [
    ["a sysctl's handler", "kind=sysctl", /uts_kern_table.*handled \[pointer_hook\]/],
    ["another module's table", "kind=module", /\[dummy\].*handled \[pointer_hook\]/],
  ]),
  ...several("object-hook", "object-operations", [
    ["the functions of one open file", `${FILE} kind=file`, STRANGER],
    ["those in memory of nobody", `${FILE} kind=file heap=1`, /\/etc\/passwd lie where no table/],
    ["the functions of one inode", `${FILE} kind=inode`, STRANGER],
    ["the functions of one name", `${LINES} kind=name`, STRANGER],
    ["the lines of one open file", `${LINES} kind=lines`, STRANGER],
  ]),
  ...several("object-hook", "socket-functions", [
    ["a socket's protocol", `${SOCKET} kind=protocol`, /sk_prot of a socket.*nothing to do with/],
    ["a socket's calls", `${SOCKET} kind=socket heap=1`, /ops of a socket.*no table of functions/],
    [
      "what is called when a socket's data arrive",
      `${SOCKET} kind=arrival`,
      /sk_data_ready of a socket.*arrived \[object_hook\]/,
    ],
  ]),
  ...several("hide-module", "kernel-pages", [
    ["a module out of the list and sysfs", "how=1", /belongs to nobody/],
    ["a module without a name as well", "how=2", /belongs to nobody/],
  ]),
  ...several("hide-module", "hidden-module", [
    ["a module out of the list", "how=0", /hide_module is hidden: .*module list/],
  ]),
];

type Variant = readonly [title: string, args: string, says: RegExp];

function several(module: string, check: string, variants: readonly Variant[]): Simulator[] {
  return variants.map(([title, args, says]) => ({ title, module, check, args, says }));
}

/** Hides itself, a process, files and a socket. */
export const combined = { title: "all at once", module: "combined", args: "pid=PID" };
