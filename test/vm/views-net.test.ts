import { test } from "node:test";
import { kernelName } from "./harness/debian-kernel.ts";
import { compareNetViews } from "./net-views/all.ts";
import type { NetGuest } from "./net-views/guest.ts";

/** QEMU 7.2's TCG breaks cmpxchg16b with several processors: guests may die in their allocator. */
const guests: readonly NetGuest[] = [
  { wish: { release: "bookworm", flavour: "cloud" }, cpus: 2, cpu: "max,cx16=off" },
  {
    wish: { release: "trixie", flavour: "cloud" },
    cpus: 2,
    cpu: "max,la57=off,cx16=off",
    ram: "anonymous",
  },
];

for (const shape of guests) {
  const { wish, ram = "memfd" } = shape;
  test(`views of network and mounts: ${kernelName(wish)} ${ram}`, (t) => compareNetViews(t, shape));
}
