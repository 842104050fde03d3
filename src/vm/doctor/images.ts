import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { debianKeyring } from "../image-mirror.ts";
import { asRoot, install, missing, ok, warning } from "./check.ts";
import type { Finding, Host, Probe } from "./check.ts";

const NO_DISKS = "guests have no disks of their own, and golden images cannot be made";
const NO_IMAGES = "golden images cannot be built; ready ones can be imported";

/** Asks a tool for its version; undefined where it is not there or does not answer. */
function versionOf(tool: string, argument = "--version"): string | undefined {
  const env = { ...process.env, LC_ALL: "C" };
  const result = spawnSync(tool, [argument], { encoding: "utf8", env, timeout: 10_000 });
  if (result.error !== undefined) return undefined;
  const text = `${result.stdout}${result.stderr}`;
  return /\d+(?:\.\d+)+/.exec(text)?.[0] ?? "of an unknown version";
}

/** Disks. */
export const qemuImg: Probe = {
  id: "qemu-img",
  title: "qemu-img",
  essential: true,
  look(host) {
    const version = versionOf("qemu-img");
    if (version !== undefined) return ok(version);
    return missing("there is no qemu-img", NO_DISKS, install(host, "qemu-utils"));
  },
};

/** What `image build` runs, and the package that brings it. */
const builders: readonly (readonly [tool: string, argument: string, name: string])[] = [
  ["mmdebstrap", "--version", "mmdebstrap"],
  ["mke2fs", "-V", "e2fsprogs"],
];

/** Tools that build golden images. */
export const imageBuild: Probe = {
  id: "image-build",
  title: "image building",
  essential: true,
  look(host) {
    const wanted = host.root
      ? builders
      : [...builders, ["fakeroot", "--version", "fakeroot"] as const];
    const found = wanted.map(([tool, argument, name]) => ({
      tool,
      name,
      version: versionOf(tool, argument),
    }));
    const absent = found.filter(({ version }) => version === undefined);
    if (absent.length > 0) {
      const tools = absent.map(({ tool }) => tool).join(", ");
      const packages = absent.map(({ name }) => name).join(" ");
      return missing(`there is no ${tools}`, NO_IMAGES, install(host, packages));
    }
    return ok(found.map(({ tool, version }) => `${tool} ${version}`).join(", "));
  },
};

/** The keys that Debian's packages are signed with. */
export const keyring: Probe = {
  id: "keyring",
  title: "Debian's keys",
  essential: true,
  look(host) {
    const path = debianKeyring();
    if (path !== undefined) return ok(path);
    return missing("not installed", NO_IMAGES, install(host, "debian-archive-keyring"));
  },
};

/** What an ordinary user needs to make a root file system that belongs to root. */
export const userNamespaces: Probe = {
  id: "user-namespaces",
  title: "user namespaces",
  essential: true,
  look(host) {
    if (host.root) return ok("not needed: this is root");
    if (versionOf("newuidmap", "--help") === undefined) {
      return missing("there is no newuidmap", NO_IMAGES, install(host, "uidmap"));
    }
    if (!hasRange("/etc/subuid", host) || !hasRange("/etc/subgid", host)) {
      const ranges = "--add-subuids 100000-165535 --add-subgids 100000-165535";
      const mend = asRoot(host, `usermod ${ranges} ${host.user}`);
      return missing(`${host.user} has no subordinate user and group ids`, NO_IMAGES, mend);
    }
    return namespaceWorks(host);
  },
};

function hasRange(path: string, host: Host): boolean {
  if (!existsSync(path)) return false;
  const names = new Set([host.user, String(process.geteuid?.())]);
  // subuid(5): name or number, first id, count.
  return readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .some(([name, , count]) => names.has(name!) && Number(count) >= 65_536);
}

function namespaceWorks(host: Host): Finding {
  const result = spawnSync("unshare", ["--user", "--map-root-user", "true"], { timeout: 10_000 });
  if (result.status === 0) return ok("a user namespace was made");
  const knobs = [
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.unprivileged_userns_clone",
  ];
  const present = knobs.filter((knob) => existsSync(`/proc/sys/${knob.replaceAll(".", "/")}`));
  const values = present.map((knob) => `${knob}=${knob.includes("restrict") ? 0 : 1}`).join(" ");
  const mend = values === "" ? undefined : asRoot(host, `sysctl ${values}`);
  return warning("the kernel refused a user namespace", "golden images may not build", mend);
}

export const imageProbes: readonly Probe[] = [qemuImg, imageBuild, keyring, userNamespaces];
