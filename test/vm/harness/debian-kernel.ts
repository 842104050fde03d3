import { existsSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheDirectory, lockFile } from "./cache.ts";
import { command } from "./command.ts";
import { privateApt, unpackPackages } from "./debian-archive.ts";
import type { Release } from "./debian-archive.ts";

export type { Release } from "./debian-archive.ts";

const metaPackages = {
  cloud: "linux-image-cloud-amd64",
  generic: "linux-image-amd64",
  rt: "linux-image-rt-amd64",
} as const;

/** `rt` is built with PREEMPT_RT. */
export type Flavour = keyof typeof metaPackages;
export type DebianWish = { readonly release: Release; readonly flavour: Flavour };

/**
 * A kernel of Debian's, or the one in a folder that its packages were unpacked to (`dpkg-deb -x`,
 * `rpm2cpio`): any distribution's, with its modules.
 */
export type KernelWish = DebianWish | { readonly folder: string };

/** A distribution kernel, unpacked on the host. */
export type Kernel = {
  /** Of Debian's; it has the headers too. */
  readonly release?: Release;
  /** As `uname -r` says it. */
  readonly version: string;
  /** What the packages unpacked to, with `lib/modules/VERSION` in it. */
  readonly root: string;
  readonly vmlinuz: string;
  /** The folder that is `/lib/modules/VERSION` on an installed system. */
  readonly modules: string;
  /** The configuration that it was built with. */
  readonly config: string;
};

/** For a test's title. */
export function kernelName(wish: KernelWish): string {
  return "folder" in wish ? basename(wish.folder) : `${wish.release}/${wish.flavour}`;
}

/**
 * The kernel of a folder, or the newest of a Debian release, downloaded and signature-checked
 * through apt at first use and taken from the cache, without a network, from then on.
 */
export async function kernel(wish: KernelWish): Promise<Kernel> {
  if ("folder" in wish) return kernelOfFolder(wish.folder);
  const home = cacheDirectory("kernels", `${wish.release}-${wish.flavour}`);
  const cached = readCached(wish, home);
  if (cached !== undefined) return cached;
  await using lock = await lockFile(join(home, "lock"));
  if (lock === undefined) throw new Error(`cannot lock ${home}`);
  return readCached(wish, home) ?? (await download(wish, home));
}

function readCached(wish: DebianWish, home: string): Kernel | undefined {
  const root = join(home, "root");
  if (!existsSync(root)) return undefined;
  return { ...unpackedKernel(root), release: wish.release };
}

async function kernelOfFolder(folder: string): Promise<Kernel> {
  const found = unpackedKernel(folder);
  if (!existsSync(join(found.modules, "modules.dep"))) await indexModules(folder, found.version);
  return found;
}

/** The one kernel that was unpacked there. */
function unpackedKernel(root: string): Kernel {
  const parent = moduleParent(root);
  const [version, ...others] = readdirSync(parent);
  if (version === undefined || others.length > 0) {
    throw new Error(`${parent} has to hold the modules of one kernel`);
  }
  const modules = join(parent, version);
  return {
    version,
    root,
    modules,
    vmlinuz: firstThere(join(root, "boot", `vmlinuz-${version}`), join(modules, "vmlinuz")),
    config: firstThere(join(root, "boot", `config-${version}`), join(modules, "config")),
  };
}

/** `/lib/modules`, which newer packages spell `/usr/lib/modules`. */
function moduleParent(root: string): string {
  return firstThere(join(root, "usr/lib/modules"), join(root, "lib/modules"));
}

/** Debian's 7.x packages carry the kernel and its configuration inside the folder of modules. */
function firstThere(...paths: string[]): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`none of these is there: ${paths.join(", ")}`);
  return found;
}

/** What an installation does after unpacking: an index in which modprobe finds modules. */
async function indexModules(root: string, version: string): Promise<void> {
  if (!existsSync(join(root, "lib"))) symlinkSync("usr/lib", join(root, "lib"));
  await command("depmod", ["-b", root, version]);
}

async function download(wish: DebianWish, home: string): Promise<Kernel> {
  const apt = await privateApt(wish.release, join(home, "apt"));
  const packages = await kernelPackages(apt, metaPackages[wish.flavour]);
  const fresh = join(home, "fresh");
  await unpackPackages(apt, packages, fresh);
  await indexModules(fresh, unpackedKernel(fresh).version);
  renameSync(fresh, join(home, "root"));
  rmSync(join(home, "apt"), { recursive: true, force: true });
  const result = readCached(wish, home);
  if (result === undefined)
    throw new Error(`${packages.join(", ")} unpacked to nothing in ${home}`);
  return result;
}

/**
 * The concrete packages behind a meta package: one linux-image, and on newer releases (measured on
 * Debian's 7.2) also the linux-base, -binary and -modules into which it was split.
 */
async function kernelPackages(apt: string[], meta: string): Promise<string[]> {
  const found = new Set<string>();
  const queue = [meta];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const record = await command("apt-cache", [...apt, "show", "--no-all-versions", name]);
    const depends = /^Depends: (.*)$/m.exec(record)?.[1] ?? "";
    for (const [, wanted] of depends.matchAll(
      /(?:^|, )(linux-(?:image|base|binary|modules)-\d[^ ,]*)/g,
    )) {
      if (!found.has(wanted)) queue.push(wanted);
      found.add(wanted);
    }
  }
  if (found.size === 0) throw new Error(`${meta} names no kernel package`);
  return [...found];
}

/** The kernel's build options, `CONFIG_X` → `y`, `m`, a number, a string, or `n` where it is off. */
export function kernelConfig(of: Kernel): Map<string, string> {
  const text = readFileSync(of.config, "utf8");
  const on = text.matchAll(/^(CONFIG_\w+)=(.*)$/gm);
  const off = text.matchAll(/^# (CONFIG_\w+) is not set$/gm);
  return new Map([
    ...[...on].map(([, name, value]): [string, string] => [name, value]),
    ...[...off].map(([, name]): [string, string] => [name, "n"]),
  ]);
}
