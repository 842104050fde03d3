import { createHash } from "node:crypto";
import type { DiskTree } from "./disk-tree.ts";
import { filesBelow } from "./file-tree.ts";

/** A file that makes something run, or lets somebody in, when the guest boots or somebody logs in. */
export type StartupFile = {
  readonly path: string;
  /** Permissions, owner and the beginning of its SHA-256; what it is, for one without content. */
  readonly value: string;
};

/** A log of who was there, and how much of it there is. */
export type LogFile = { readonly path: string; readonly inode: number; readonly size: number };

type Place = { readonly attack: string; readonly paths: readonly string[] };

/** Files and folders, by the technique (MITRE ATT&CK) of whoever changes them. */
const PLACES: readonly Place[] = [
  {
    attack: "T1053.003",
    paths: [
      "/etc/crontab",
      "/etc/anacrontab",
      "/etc/cron.d",
      "/etc/cron.hourly",
      "/etc/cron.daily",
      "/etc/cron.weekly",
      "/etc/cron.monthly",
      "/var/spool/cron",
    ],
  },
  {
    attack: "T1543.002",
    paths: [
      "/etc/systemd",
      "/usr/lib/systemd/system",
      "/usr/lib/systemd/user",
      "/usr/lib/systemd/system-generators",
      "/usr/lib/systemd/system-shutdown",
      "/usr/local/lib/systemd",
      "/etc/xdg/systemd",
    ],
  },
  { attack: "T1037.004", paths: ["/etc/rc.local", "/etc/rc.d", "/etc/init.d", "/etc/inittab"] },
  { attack: "T1546.017", paths: ["/etc/udev/rules.d", "/usr/lib/udev/rules.d"] },
  {
    attack: "T1556.003",
    paths: [
      "/etc/pam.conf",
      "/etc/pam.d",
      "/usr/lib/security",
      "/usr/lib64/security",
      "/usr/lib/x86_64-linux-gnu/security",
    ],
  },
  { attack: "T1098.004", paths: ["/etc/ssh"] },
  {
    attack: "T1546.004",
    paths: [
      "/etc/profile",
      "/etc/profile.d",
      "/etc/bash.bashrc",
      "/etc/bashrc",
      "/etc/zsh",
      "/etc/environment",
      "/etc/update-motd.d",
    ],
  },
  { attack: "T1574.006", paths: ["/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d"] },
  {
    attack: "T1547.006",
    paths: ["/etc/modules", "/etc/modules-load.d", "/etc/modprobe.d", "/usr/lib/modules-load.d"],
  },
  { attack: "T1546.016", paths: ["/etc/apt/apt.conf.d", "/etc/dpkg/dpkg.cfg.d"] },
  {
    attack: "T1546",
    paths: [
      "/etc/NetworkManager/dispatcher.d",
      "/etc/dhcp",
      "/etc/logrotate.d",
      "/etc/xdg/autostart",
    ],
  },
  { attack: "T1542", paths: ["/etc/initramfs-tools", "/etc/dracut.conf.d", "/etc/default/grub"] },
  {
    attack: "T1098",
    paths: ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/sudoers.d"],
  },
];

/** Below the home of each account. */
const HOME_PLACES: readonly Place[] = [
  {
    attack: "T1098.004",
    paths: [".ssh/authorized_keys", ".ssh/authorized_keys2", ".ssh/rc", ".ssh/environment"],
  },
  {
    attack: "T1546.004",
    paths: [
      ".profile",
      ".bash_profile",
      ".bash_login",
      ".bashrc",
      ".zshrc",
      ".zprofile",
      ".zshenv",
    ],
  },
  { attack: "T1543.002", paths: [".config/systemd/user"] },
  { attack: "T1546", paths: [".config/autostart"] },
];
const HOMES = "/home";
const ROOT_HOME = "/root";
/** Accounts whose homes are looked at. */
const MOST_HOMES = 4096;

/** The initial file systems, which a boot begins with. */
const BOOT_IMAGES = /^(initrd|initramfs|vmlinuz)/;

/** Logs of who was there (utmp(5), syslog). */
const LOGS = [
  "wtmp",
  "btmp",
  "lastlog",
  "auth.log",
  "secure",
  "syslog",
  "messages",
  "kern.log",
  "audit/audit.log",
].map((name) => `/var/log/${name}`);

const MOST_FILES = 16_384;
const LARGEST = 256 * 2 ** 20;
/** What of a sum is kept. */
const DIGITS = 16;

/** Files below the places of the system and of each home. What cannot be read is told. */
export function* startupFiles(
  tree: DiskTree,
  problem: (reason: string) => void,
): Generator<StartupFile> {
  let left = MOST_FILES;
  for (const place of placesIn(tree)) {
    for (const path of tree.list(place) === undefined ? [place] : filesBelow(tree, place)) {
      if (left-- === 0) return problem("there are more files than are looked at");
      const value = valueOf(tree, path, problem);
      if (value !== undefined) yield { path, value };
    }
  }
  return undefined;
}

/** Logs that are there, with their size. */
export function* logFiles(tree: DiskTree): Generator<LogFile> {
  for (const path of LOGS) {
    const found = tree.find(path);
    if (typeof found === "string" || found.inode.type !== "file") continue;
    yield { path, inode: found.inode.number, size: found.inode.size };
  }
}

/** The technique of whoever changes a file there. */
export function startupTechnique(path: string): string {
  const home = /^(?:\/root|\/home\/[^/]+)\/(.*)$/.exec(path)?.[1];
  const places = home === undefined ? PLACES : HOME_PLACES;
  const wanted = home ?? path;
  const isIn = (place: string): boolean => wanted === place || wanted.startsWith(`${place}/`);
  return places.find(({ paths }) => paths.some(isIn))?.attack ?? "T1542";
}

function* placesIn(tree: DiskTree): Generator<string> {
  for (const { paths } of PLACES) yield* paths;
  const homes = (tree.list(HOMES) ?? []).slice(0, MOST_HOMES);
  const folders = homes.filter(({ folder }) => folder).map(({ name }) => `${HOMES}/${name}`);
  for (const home of [ROOT_HOME, ...folders]) {
    for (const { paths } of HOME_PLACES) yield* paths.map((path) => `${home}/${path}`);
  }
  for (const { name } of tree.list("/boot") ?? []) {
    if (BOOT_IMAGES.test(name)) yield `/boot/${name}`;
  }
}

/** Undefined where there is no such file. */
function valueOf(
  tree: DiskTree,
  path: string,
  problem: (reason: string) => void,
): string | undefined {
  const itself = tree.find(path, false);
  if (typeof itself === "string") return undefined;
  const { inode, fileSystem } = itself;
  const link = inode.type === "symlink" ? fileSystem.link(inode) : undefined;
  const file = tree.read(path, LARGEST);
  const mode = `${(inode.mode & 0o7777).toString(8).padStart(4, "0")} ${inode.uid}:${inode.gid}`;
  const head = link === undefined ? mode : `-> ${link}`;
  if ("bytes" in file) {
    const sum = createHash("sha256").update(file.bytes).digest("hex").slice(0, DIGITS);
    return `${head} ${sum}`;
  }
  // A unit that is masked leads to /dev/null, which no disk has.
  if (link === undefined && inode.type === "file") problem(`${path}: ${file.missing}`);
  return head;
}
