import { createHash } from "node:crypto";
import {
  existsSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { cacheDirectory } from "./cache.ts";
import { cpio, fileTypes, type CpioEntry } from "./cpio.ts";
import type { Kernel } from "./debian-kernel.ts";
import { moduleSet } from "./guest-modules.ts";
import { helperProgram } from "./helper-program.ts";
import { addDirectories, standardTools, toolEntries } from "./host-tools.ts";

export type GuestFile =
  | Uint8Array
  | string
  | { readonly data: Uint8Array | string; readonly mode: number };

export type InitramfsOptions = {
  readonly kernel: Kernel;
  /** Host programs beside the standard ones, by name or path. */
  readonly tools?: readonly string[];
  /** Kernel modules that are loaded before the first command can run. */
  readonly modules?: readonly string[];
  /** Kernel modules that are only there for modprobe. */
  readonly availableModules?: readonly string[];
  /** Path in the guest → content (mode 0644 unless told). */
  readonly files?: Readonly<Record<string, GuestFile>>;
  /** A disk whose own init takes over; the agent then runs there as a service of systemd. */
  readonly rootDisk?: string;
  /** Where the agent finds the host: a character device. */
  readonly port: string;
};

/** The whole initramfs: the kernel unpacks several archives that follow each other. */
export async function initramfs(options: InitramfsOptions): Promise<Buffer> {
  const tools = [...new Set([...standardTools, ...(options.tools ?? [])])];
  const available = options.availableModules ?? [];
  const modules = await moduleSet(options.kernel, options.modules ?? [], available);
  const own: CpioEntry[] = [...modules.entries];
  const add = (entry: CpioEntry) => own.push(entry);
  addFile(add, "/init", { data: initScript(modules.load, options), mode: 0o755 });
  for (const [path, file] of Object.entries(options.files ?? {})) addFile(add, path, file);
  return Buffer.concat([await baseArchive(tools), cpio(own)]);
}

function addFile(add: (entry: CpioEntry) => void, path: string, file: GuestFile): void {
  const { data, mode } =
    typeof file === "string" || file instanceof Uint8Array ? { data: file, mode: 0o644 } : file;
  const plain = path.replace(/^\//, "").replace(/^(bin|sbin|lib|lib64)\//, "usr/$1/");
  addDirectories(
    [dirname(plain)].filter((parent) => parent !== "."),
    add,
  );
  add({ path: plain, mode: fileTypes.file | mode, data: Buffer.from(data) });
}

/** Tools and a few files of /etc: the same for every guest that wants the same tools, so cached. */
async function baseArchive(tools: readonly string[]): Promise<Buffer> {
  const agent = await helperProgram("guest-agent");
  const sources = ["cpio.ts", "host-tools.ts", "initramfs.ts"].map((name) =>
    readFileSync(join(import.meta.dirname, name), "utf8"),
  );
  // The distribution's tools change only when its packages do.
  const packages = statSync("/var/lib/dpkg/status", { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const key = createHash("sha256").update(JSON.stringify([tools, agent, sources, packages]));
  const cached = join(cacheDirectory("initramfs"), `${key.digest("hex").slice(0, 16)}.cpio`);
  if (existsSync(cached)) return readFileSync(cached);
  const entries = await toolEntries(tools);
  const add = (entry: CpioEntry) => entries.push(entry);
  addDirectories(["dev", "etc", "proc", "root", "run", "sys", "tmp", "mnt", "home", "var"], add);
  add({ path: "dev/console", mode: fileTypes.character | 0o600, device: { major: 5, minor: 1 } });
  addFile(add, "/usr/sbin/guest-agent", { data: readFileSync(realpathSync(agent)), mode: 0o755 });
  for (const [path, text] of Object.entries(etc)) addFile(add, path, text);
  const archive = cpio(entries);
  writeFileSync(`${cached}.${process.pid}`, archive);
  renameSync(`${cached}.${process.pid}`, cached);
  return archive;
}

const etc: Record<string, string> = {
  "/etc/passwd": [
    "root:x:0:0:root:/root:/bin/bash",
    "daemon:x:1:1:daemon:/:/bin/sh",
    "www-data:x:33:33:www-data:/var:/bin/sh",
    "alice:x:1000:1000:Alice:/home:/bin/bash",
    "bob:x:1001:1001:Bob:/home:/bin/bash",
    "nobody:x:65534:65534:nobody:/:/bin/sh",
    "",
  ].join("\n"),
  "/etc/group":
    "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nalice:x:1000:\nbob:x:1001:\nnogroup:x:65534:\n",
  "/etc/hostname": "guest\n",
  "/etc/hosts": "127.0.0.1 localhost guest\n::1 localhost\n",
  "/etc/os-release": 'PRETTY_NAME="kvmsec test guest"\nID=debian\n',
};

function initScript(load: readonly string[], { port, rootDisk }: InitramfsOptions): string {
  const mounts = [
    "proc proc /proc",
    "sysfs sysfs /sys",
    "devtmpfs dev /dev",
    "devpts devpts /dev/pts",
    "tmpfs shm /dev/shm",
    "tmpfs run /run",
    "tmpfs tmp /tmp",
    "cgroup2 cgroup2 /sys/fs/cgroup",
    "bpf bpf /sys/fs/bpf",
    "securityfs securityfs /sys/kernel/security",
    "debugfs debugfs /sys/kernel/debug",
    "tracefs tracefs /sys/kernel/tracing",
  ];
  return [
    "#!/usr/bin/busybox sh",
    "export PATH=/usr/sbin:/usr/bin HOME=/root",
    ...mounts.map((mount) => {
      const [type, source, target] = mount.split(" ");
      return `busybox mkdir -p ${target}; busybox mount -t ${type} ${source} ${target} 2>/dev/null`;
    }),
    "busybox hostname guest",
    "busybox ip link set lo up",
    ...load.map((file) => `busybox insmod ${file} || echo "init: cannot load ${file}"`),
    ...(rootDisk === undefined ? [`exec guest-agent ${port}`] : handOver(rootDisk, port)),
    "",
  ].join("\n");
}

/** The agent goes along as a service, and what it starts outlives each command. */
function handOver(disk: string, port: string): string[] {
  const unit = [
    "[Service]",
    `ExecStart=/usr/sbin/guest-agent ${port}`,
    "Environment=HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "KillMode=process",
  ].join("\\n");
  const units = "/mnt/etc/systemd/system";
  return [
    `busybox mount -t ext4 ${disk} /mnt`,
    "busybox cp /usr/sbin/guest-agent /mnt/usr/sbin/guest-agent",
    `busybox mkdir -p ${units}/multi-user.target.wants`,
    `busybox printf '${unit}\\n' > ${units}/guest-agent.service`,
    `busybox ln -sf ../guest-agent.service ${units}/multi-user.target.wants/guest-agent.service`,
    // systemd mounts its own where these are not moved along.
    "for dir in /sys/fs/bpf /sys/kernel/security /sys/kernel/debug /sys/kernel/tracing /sys/fs/cgroup; do busybox umount $dir; done",
    "for dir in /dev/pts /dev/shm /sys /run /tmp /proc; do busybox umount $dir; done",
    "exec busybox switch_root /mnt /sbin/init",
  ];
}
