// Run in a process of its own, since a process's peak never falls: looks at a guest for a while, and
// prints the most it had resident in KiB. Argument: the target.
import { readFileSync } from "node:fs";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { files, maps, modules, ps, sockets } from "../../src/views/index.ts";
import type { View } from "../../src/views/view.ts";
import { attach } from "../../src/vm/guest.ts";

const SWEEPS = 5;

using guest = await attach(process.argv[2]);
for (const view of [ps, maps, files, sockets, modules] as readonly View<unknown>[]) {
  guest.kernel.refresh();
  Array.from(
    view.read(guest.kernel, {}, () => {}),
    (row) => view.json(row, guest.kernel),
  );
}
for (let count = 0; count < SWEEPS; count++) sweep(guest.kernel, checks);
const status = readFileSync("/proc/self/status", "utf8");
process.stdout.write(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? "");
