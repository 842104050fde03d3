import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { syscalls } from "../../../src/views/syscalls.ts";
import { command } from "../harness/command.ts";
import type { Guest } from "../harness/guest.ts";
import { readAll } from "./read-all.ts";

/** Calls whose function is called otherwise (arch/x86/entry/syscalls/syscall_64.tbl). */
const RENAMED: Readonly<Record<string, string>> = {
  stat: "newstat",
  fstat: "newfstat",
  lstat: "newlstat",
  uname: "newuname",
  umount2: "umount",
  sendfile: "sendfile64",
  _sysctl: "sysctl",
};

/** The host's unistd_64.h numbers them, and the guest's own trace events name them. */
export async function syscallsAreNumberedAsInHeaders(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = readAll(syscalls, kernel);
  const native = rows.filter(({ table }) => table === "sys_call_table");
  const names = native.map(({ name }) => name);
  const header = await command("sh", ["-c", "echo '#include <asm/unistd_64.h>' | gcc -E -dM -"]);
  let compared = 0;
  for (const [, name, number] of header.matchAll(/^#define __NR_(\w+) (\d+)$/gm)) {
    const seen = names[Number(number)];
    if (seen === undefined || seen === "ni_syscall") continue;
    assert.equal(seen, RENAMED[name] ?? name, `system call ${number}`);
    compared++;
  }
  assert.ok(compared > 300, `${compared} compared`);
  const traced = await guest.run("ls -d /sys/kernel/tracing/events/syscalls/sys_enter_*");
  for (const [, name] of traced.matchAll(/sys_enter_(\w+)/g)) {
    assert.ok(names.includes(name), `${name} is traced`);
  }
}

/** On a clean guest every way leads to the same functions, all of them the kernel's own. */
export function syscallsLeadIntoTheKernel(_guest: Guest, kernel: Kernel): void {
  const rows = readAll(syscalls, kernel);
  for (const { table, number, owner, offset, target, name } of rows) {
    assert.deepEqual([owner, offset], ["vmlinux", 0], `${table}[${number}] ${target}`);
    assert.ok(name !== undefined, `${table}[${number}] ${target}`);
  }
  const targets = (table: string) =>
    rows.filter((row) => row.table === table).map((row) => row.address);
  const dispatched = targets("x64_sys_call");
  if (kernel.symbol("x64_sys_call") < 0) {
    assert.deepEqual(dispatched, targets("sys_call_table"));
    assert.ok(targets("ia32_sys_call").length >= dispatched.length - 1);
  } else {
    assert.equal(dispatched.length, 0);
    assert.ok(targets("ia32_sys_call_table").length > 400);
  }
}
