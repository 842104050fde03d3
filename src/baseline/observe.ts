import { createHash } from "node:crypto";
import type { DiskTree } from "../files/disk-tree.ts";
import { logFiles, startupFiles } from "../files/startup-files.ts";
import { kernelSections } from "../linux/kernel-sections.ts";
import type { Kernel } from "../linux/kernel.ts";
import { cgroups } from "../views/cgroups.ts";
import { modules } from "../views/modules.ts";
import { ps } from "../views/ps.ts";
import { sockets } from "../views/sockets.ts";

/** What kinds of things a baseline holds. */
export const itemKinds = [
  "kernel",
  "text",
  "module",
  "listener",
  "program",
  "helper",
  "unit",
  "startup",
  "log",
] as const;
export type ItemKind = (typeof itemKinds)[number];

/** One thing that is known of a guest: what it is, and what is known of it. */
export type Item = { readonly kind: ItemKind; readonly key: string; readonly value: string };

/** What was seen of a guest at one moment. */
export type Observation = {
  readonly items: readonly Item[];
  /** Kinds of which not all could be seen, and why: nothing of them is known to be missing. */
  readonly gaps: ReadonlyMap<ItemKind, string>;
  /** Kinds that were not looked at. */
  readonly skipped?: ReadonlySet<ItemKind>;
};

/** Strings that name a program which the kernel starts as root (kernel/module/kmod.c and others). */
const HELPERS = ["modprobe_path", "poweroff_cmd", "reboot_cmd", "uevent_helper", "core_pattern"];
const MAX_HELPER = 256;
const MAX_ITEMS = 100_000;

/** Looks at all that a baseline holds; files only where a tree of the guest's disks is given. */
export function observe(kernel: Kernel, disks?: DiskTree): Observation {
  const items = new Map<string, Item>();
  const gaps = new Map<ItemKind, string>();
  const add = (kind: ItemKind, key: string, value: string): void => {
    if (items.size < MAX_ITEMS) items.set(`${kind} ${key}`, { kind, key, value });
    else gaps.set(kind, "it has more than a baseline takes");
  };
  const gap = (kind: ItemKind) => (reason: string) => void gaps.set(kind, reason);
  const { release, buildId } = kernel.identity;
  add("kernel", "release", release);
  if (buildId !== undefined) add("kernel", "build id", buildId);
  addText(kernel, add, gap("text"));
  for (const { name, buildId: id, srcversion } of modules.read(kernel, {}, gap("module"))) {
    add("module", name, id ?? srcversion ?? "?");
  }
  for (const symbol of HELPERS) {
    const text = kernel.space.string(kernel.symbol(symbol), MAX_HELPER);
    if (text !== undefined) add("helper", symbol, text);
    else if (!Number.isNaN(kernel.symbol(symbol))) gap("helper")(`${symbol} cannot be read`);
  }
  addPrograms(kernel, add, gap);
  addUnits(kernel, add, gap("unit"));
  if (disks !== undefined) addFiles(disks, add, gap("startup"));
  const skipped = new Set<ItemKind>(disks === undefined ? ["startup", "log"] : []);
  return { items: [...items.values()], gaps, skipped };
}

type Add = (kind: ItemKind, key: string, value: string) => void;
type Gap = (reason: string) => void;

/** All of it at once: the kernel patches its own text, so a difference alone is no proof. */
function addText(kernel: Kernel, add: Add, gap: Gap): void {
  const section = kernelSections(kernel).find(({ name }) => name === "text");
  if (section === undefined) return gap("the kernel's text is not found");
  const hash = createHash("sha256");
  for (let at = section.start; at < section.end; at += PAGE) {
    const bytes = kernel.space.bytes(at, Math.min(PAGE, section.end - at));
    if (bytes === undefined) return gap("a page of kernel text is not in memory");
    hash.update(bytes);
  }
  add("text", "sha256", hash.digest("hex"));
}

const PAGE = 4096;

/** Programs that run, and who waits for connections: an address says more than the port that a client got. */
function addPrograms(kernel: Kernel, add: Add, gap: (kind: ItemKind) => Gap): void {
  const programs = new Map<number, string>();
  for (const { pid, exe, kthread } of ps.read(kernel, {}, gap("program"))) {
    if (kthread || exe === undefined) continue;
    programs.set(pid, exe);
    add("program", exe, "");
  }
  for (const socket of sockets.read(kernel, { listening: true }, gap("listener"))) {
    if (!socket.family.startsWith("inet") && socket.protocol !== "packet") continue;
    const holders = new Set(socket.holders.map(({ pid }) => programs.get(pid) ?? "?"));
    const who = [...holders].toSorted().join(" ");
    add("listener", `${socket.family} ${socket.protocol} ${socket.local}`, who);
  }
}

/** As they lie on the disk: what the guest has only in memory yet comes there within its half minute. */
function addFiles(disks: DiskTree, add: Add, gap: Gap): void {
  for (const { path, value } of startupFiles(disks, gap)) add("startup", path, value);
  for (const { path, inode, size } of logFiles(disks)) add("log", path, `${inode} ${size}`);
}

/** Services of systemd have a control group each (systemd.resource-control(5)). */
function addUnits(kernel: Kernel, add: Add, gap: Gap): void {
  for (const { path } of cgroups.read(kernel, {}, gap)) {
    const unit = /^\/system\.slice\/(?:.*\/)?([^/]+\.(?:service|socket|mount))$/.exec(path)?.[1];
    if (unit !== undefined) add("unit", unit, "");
  }
}
