import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cacheDirectory, lockFile } from "./cache.ts";
import { command } from "./command.ts";

const metaPackages = {
  cloud: "linux-image-cloud-amd64",
  generic: "linux-image-amd64",
  rt: "linux-image-rt-amd64",
} as const;

/** A Debian release or pocket, as `sources.list` names it: `bookworm`, `trixie-backports`, `sid`. */
export type Release = string;
/** `rt` is built with PREEMPT_RT. */
export type Flavour = keyof typeof metaPackages;
export type KernelWish = { readonly release: Release; readonly flavour: Flavour };

/** A distribution kernel, unpacked on the host. */
export type Kernel = KernelWish & {
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

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The newest kernel of a Debian release, downloaded and signature-checked through apt at first use
 * and taken from the cache, without a network, from then on.
 */
export async function kernel(wish: KernelWish): Promise<Kernel> {
  const home = cacheDirectory("kernels", `${wish.release}-${wish.flavour}`);
  const cached = readCached(wish, home);
  if (cached !== undefined) return cached;
  await using lock = await lockFile(join(home, "lock"));
  if (lock === undefined) throw new Error(`cannot lock ${home}`);
  return readCached(wish, home) ?? (await download(wish, home));
}

function readCached(wish: KernelWish, home: string): Kernel | undefined {
  const root = join(home, "root");
  if (!existsSync(root)) return undefined;
  const parent = moduleParent(root);
  const [version] = readdirSync(parent);
  const modules = join(parent, version);
  return {
    ...wish,
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

async function download(wish: KernelWish, home: string): Promise<Kernel> {
  const apt = await privateApt(wish.release, join(home, "apt"));
  const packages = await kernelPackages(apt, metaPackages[wish.flavour]);
  const fetched = join(home, "download");
  const fresh = join(home, "fresh");
  for (const directory of [fetched, fresh]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
  }
  await command("apt-get", [...apt, "download", ...packages], { cwd: fetched });
  for (const file of readdirSync(fetched)) {
    await command("dpkg-deb", ["-x", join(fetched, file), fresh]);
  }
  if (!existsSync(join(fresh, "lib"))) symlinkSync("usr/lib", join(fresh, "lib"));
  const [version] = readdirSync(join(fresh, "lib/modules"));
  await command("depmod", ["-b", fresh, version]);
  renameSync(fresh, join(home, "root"));
  for (const directory of [fetched, join(home, "apt")]) {
    rmSync(directory, { recursive: true, force: true });
  }
  const result = readCached(wish, home);
  if (result === undefined)
    throw new Error(`${packages.join(", ")} unpacked to nothing in ${home}`);
  return result;
}

/** apt's options for a private root that knows one release; its lists are freshly updated. */
async function privateApt(release: Release, root: string): Promise<string[]> {
  for (const part of ["lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(root, part), { recursive: true });
  }
  writeFileSync(join(root, "status"), "");
  writeFileSync(join(root, "sources.list"), await sourceLines(release));
  const options = {
    "Dir::State": root,
    "Dir::State::status": join(root, "status"),
    "Dir::Cache": join(root, "cache"),
    "Dir::Etc::sourcelist": join(root, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "APT::Architecture": "amd64",
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
  };
  const apt = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await command("apt-get", [...apt, "update"]);
  return apt;
}

function line(mirror: string, suite: string): string {
  return `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`;
}

/** A stable release has its updates and its security fixes in suites of their own. */
async function sourceLines(release: Release): Promise<string> {
  const mirrors = await debianMirrors();
  const rolling = release === "sid" || release === "unstable" || release.includes("-");
  if (rolling || release === "forky" || release === "testing") return line(mirrors.main, release);
  return [
    line(mirrors.main, release),
    line(mirrors.main, `${release}-updates`),
    line(mirrors.security, `${release}-security`),
  ].join("");
}

/** The mirrors that this machine's own apt uses; fixes come from the main one where it lists no other. */
async function debianMirrors(): Promise<{ main: string; security: string }> {
  const format = "$(LABEL)|$(REPO_URI)|$(RELEASE)";
  const listed = await command("apt-get", ["indextargets", "--format", format]).catch(() => "");
  const rows = listed.split("\n").map((row) => row.split("|"));
  const mirrorOf = (label: string) => rows.find((row) => row[0] === label)?.[1];
  const main = mirrorOf("Debian");
  if (main === undefined) {
    throw new Error("apt here knows no Debian archive: add one to its sources, or run on Debian");
  }
  return { main, security: mirrorOf("Debian-Security") ?? `${main.replace(/\/*$/, "")}-security` };
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
