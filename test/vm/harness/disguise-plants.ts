import { startIntruder, stayAs } from "./intruder.ts";
import { inOrder } from "./process-plant.ts";
import type { ProcessPlant } from "./process-plant.ts";

const PROGRAM = "/usr/sbin/intruder";

/** Processes under borrowed names and from odd places, libraries that were slipped in, and covers. */
export const disguisePlants: readonly ProcessPlant[] = [
  {
    title: "a program called sshd in /tmp",
    check: "disguised-process",
    says: /"high".*a program called sshd runs from \/tmp\/sshd/,
    plant: async ({ guest }) => {
      await guest.run(`cp ${PROGRAM} /tmp/sshd`);
      const { end } = await stayAs(guest, "exec /tmp/sshd");
      return inOrder(end, () => guest.run("rm /tmp/sshd"));
    },
  },
  {
    title: "another program that calls itself sshd",
    check: "disguised-process",
    says: /calls itself sshd, but runs \/usr\/sbin\/intruder/,
    plant: async ({ guest }) => (await stayAs(guest, `exec -a 'sshd: root@pts/0' "$PROGRAM"`)).end,
  },
  {
    title: "a shell that calls itself a daemon of systemd's",
    check: "disguised-process",
    says: /"high".*calls itself systemd-logind, but runs \/usr\/bin\/bash/,
    plant: async ({ guest }) => {
      await guest.run("mkfifo /run/wait");
      const command = "exec -a /lib/systemd/systemd-logind bash -c 'read x <>/run/wait'";
      const { end } = await stayAs(guest, command);
      return inOrder(end, () => guest.run("rm /run/wait"));
    },
  },
  scenario("foreign_letter", "disguised-process", /looks like \\"sshd\\"/),
  scenario(
    "nameless_program",
    "vanished-program",
    /"high".*was deleted \(\/usr\/#\d+ \(deleted\)\)/,
  ),
  scenario("padded_name", "disguised-process", /name \\"cron \\" looks like \\"cron\\"/),
  {
    title: "a program in /dev/shm",
    check: "disguised-process",
    says: /"medium".*folder for temporary files/,
    plant: async ({ guest }) => {
      await guest.run(`cp ${PROGRAM} /dev/shm/worker`);
      const { end } = await stayAs(guest, "exec /dev/shm/worker");
      return inOrder(end, () => guest.run("rm /dev/shm/worker"));
    },
  },
  {
    title: "a library that root's program was told to load",
    check: "preloaded-libraries",
    says: /"high".*LD_PRELOAD, which leads to \/dev\/shm\/evil\.so/,
    plant: async ({ guest }) =>
      (await stayAs(guest, `export LD_PRELOAD=/dev/shm/evil.so; exec "$PROGRAM"`)).end,
  },
  {
    title: "a library that every program is made to load",
    check: "preloaded-libraries",
    says: /"high".*made to load \/tmp\/all\.so \(\/etc\/ld\.so\.preload\)/,
    plant: async ({ guest }) => {
      await guest.run("echo /tmp/all.so > /etc/ld.so.preload");
      return () => guest.run("rm /etc/ld.so.preload; bash -c true");
    },
  },
  {
    ...scenario(
      "temporary_library",
      "preloaded-libraries",
      /library from \/tmp\/library\.so mapped/,
    ),
    plant: async ({ guest, kernel }) => {
      const { end } = await startIntruder(guest, kernel, "temporary_library");
      return inOrder(end, () => guest.run("rm /tmp/library.so"));
    },
  },
  {
    title: "a tracer in /tmp that holds another's process",
    check: "ptrace-attachments",
    says: /"high".*held by ptrace.*the tracer's program is \/tmp\/hold/,
    plant: async ({ guest, kernel }) => {
      const victim = await startIntruder(guest, kernel, "user");
      await guest.run(`cp ${PROGRAM} /tmp/hold`);
      const tracer = await startIntruder(guest, kernel, "tracer", `TRACEE=${victim.pid} /tmp/hold`);
      return inOrder(tracer.end, victim.end, () => guest.run("rm /tmp/hold"));
    },
  },
  {
    title: "an empty folder mounted upon a process's in /proc",
    check: "covered-processes",
    says: /hidden from ps: something is mounted upon \/proc\/\d+\.".*"tmpfs"/,
    plant: async ({ guest, kernel }) => {
      const { pid, end } = await startIntruder(guest, kernel, "user");
      await guest.run(`mkdir -p /tmp/empty; mount --bind /tmp/empty /proc/${pid}`);
      return inOrder(() => guest.run(`umount /proc/${pid}`), end);
    },
  },
  {
    title: "another file mounted upon the list of modules",
    check: "covered-processes",
    says: /What the kernel lists is hidden: something is mounted upon \/proc\/modules/,
    plant: async ({ guest }) => {
      await guest.run("echo > /tmp/none; mount --bind /tmp/none /proc/modules");
      return () => guest.run("umount /proc/modules; rm /tmp/none");
    },
  },
];

function scenario(name: string, check: string, says: RegExp): ProcessPlant {
  return {
    title: name.replaceAll("_", " "),
    check,
    says,
    plant: async ({ guest, kernel }) => (await startIntruder(guest, kernel, name)).end,
  };
}
