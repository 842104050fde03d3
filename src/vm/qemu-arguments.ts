import type { AcceleratorName } from "./accelerator.ts";
import type { Image } from "./images.ts";
import { NETDEV, packetObject } from "./packet-files.ts";
import type { PacketFile } from "./packet-files.ts";
import type { VmConfig, VmPaths } from "./vm-state.ts";

export const QEMU = "qemu-system-x86_64";

export type QemuOptions = {
  readonly config: VmConfig;
  readonly image: Image;
  readonly paths: VmPaths;
  readonly accelerator: AcceleratorName;
  /** How fast the host's time-stamp counter runs (host-clock.ts), where that is known. */
  readonly tscKhz?: number | undefined;
  /** The full name of the machine (`pc-q35-7.2`) where a saved state is to be taken up. */
  readonly machineType?: string | undefined;
  /** Where its packets go from the first one on. */
  readonly packets?: PacketFile | undefined;
  /** The path by which QEMU finds its RAM; without one it keeps it to itself. */
  readonly memPath?: string | undefined;
};

/** sockaddr_un.sun_path with its closing zero (unix(7)). */
const MAX_SOCKET_PATH = 107;

/**
 * QEMU's command line for a VM. Stock, sandboxed, and without a device that the guest has no use
 * for. It runs in the VM's folder: paths of sockets that are too long are given relative to it.
 */
export function qemuArguments(options: QemuOptions): string[] {
  const { config, image, paths, accelerator } = options;
  const given: Option[] = [
    ["-name", `guest=${config.name},debug-threads=on`],
    ["-uuid", config.uuid],
    ["-machine", machine(config, options.machineType)],
    ["-accel", acceleration(config, accelerator)],
    ["-cpu", cpuModel(config.cpu, accelerator)],
    ["-smp", String(config.cpus)],
    ["-m", `${config.memoryBytes / 1024 ** 2}M`],
    ["-object", ramBackend(config, options.memPath)],
    ["-no-user-config"],
    ["-nodefaults"],
    ["-display", "none"],
    ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ["-msg", "timestamp=on"],
    ["-pidfile", paths.pidFile],
    ["-rtc", "base=utc"],
    // A panicked guest stays as it is, for those who want to know why.
    ["-action", "panic=pause"],
    ["-chardev", socket("monitor", paths.monitor)],
    ["-mon", "chardev=monitor,mode=control"],
    ["-chardev", socket("operator", paths.operator)],
    ["-mon", "chardev=operator,mode=control"],
    ["-chardev", socket("console", paths.console)],
    ["-serial", "chardev:console"],
    ["-kernel", image.vmlinuz],
    ["-initrd", image.initrd],
    ["-append", commandLine(options)],
    ...devices(config, paths),
    ...(options.packets === undefined ? [] : [packetFilter(options.packets)]),
  ];
  return given.flat();
}

type Option = readonly [flag: string] | readonly [name: string, value: string];

function commandLine({ config, image, accelerator, tscKhz }: QemuOptions): string {
  const words = [image.commandLine, `systemd.hostname=${hostName(config.name)}`];
  const clockless = config.machine === "microvm" && accelerator === "tcg";
  if (clockless && tscKhz !== undefined) words.push(`tsc_early_khz=${tscKhz}`);
  return words.join(" ");
}

/** A host name has no dots and underscores (RFC 952). */
function hostName(name: string): string {
  return name.replaceAll(/[._]/g, "-");
}

function machine({ machine }: VmConfig, type: string = machine): string {
  const kind = machine === "microvm" ? `${type},acpi=on,rtc=on` : type;
  return `${kind},memory-backend=ram`;
}

function ramBackend({ memoryBytes }: VmConfig, path: string | undefined): string {
  const size = `id=ram,size=${memoryBytes}`;
  if (path === undefined) return `memory-backend-ram,${size}`;
  return `memory-backend-file,${size},share=on,mem-path=${quoted(path)}`;
}

function devices({ machine, network, uuid }: VmConfig, paths: VmPaths): Option[] {
  // microvm has no PCI: its virtio devices hang on memory-mapped transports.
  const virtio = (name: string) => `virtio-${name}-${machine === "microvm" ? "device" : "pci"}`;
  const file = `driver=file,node-name=disk-file,filename=${quoted(paths.disk)}`;
  const always: Option[] = [
    ["-blockdev", file],
    ["-blockdev", "driver=qcow2,node-name=disk,file=disk-file,discard=unmap"],
    ["-device", `${virtio("blk")},id=disk0,drive=disk`],
    ["-object", "rng-builtin,id=rng"],
    ["-device", `${virtio("rng")},id=rng0,rng=rng`],
    ["-device", `${virtio("serial")},id=serial0`],
    ["-device", "pvpanic"],
  ];
  if (network === "none") return always;
  const card = `${virtio("net")},id=net0,netdev=${NETDEV},mac=${macAddress(uuid)}`;
  return [...always, ["-netdev", `user,id=${NETDEV}`], ["-device", card]];
}

function packetFilter(packets: PacketFile): Option {
  const { "qom-type": type, id, netdev, file } = packetObject(packets);
  return ["-object", `${type},id=${id},netdev=${netdev},file=${quoted(file)}`];
}

/** An address of QEMU's own range that no other VM is likely to have. */
function macAddress(uuid: string): string {
  return `52:54:00:${uuid.slice(-6).match(/../g)!.join(":")}`;
}

function socket(id: string, path: string): string {
  return `socket,id=${id},path=${quoted(socketPath(path))},server=on,wait=off`;
}

/** The path itself, or its name where the path does not fit a socket's address. */
function socketPath(path: string): string {
  return Buffer.byteLength(path) <= MAX_SOCKET_PATH ? path : path.slice(path.lastIndexOf("/") + 1);
}

/** A comma ends a value on QEMU's command line unless it is doubled. */
function quoted(path: string): string {
  return path.replaceAll(",", ",,");
}

/**
 * With a thread for each virtual processor, QEMU's software emulation may keep translated code
 * that another processor has patched since (mended in 8.1; measured on 7.2: a kernel that traces
 * all its functions dies within seconds). One thread for all costs little of what is slow anyway.
 */
function acceleration({ cpus }: VmConfig, accelerator: AcceleratorName): string {
  return accelerator === "tcg" && cpus > 1 ? "tcg,thread=single" : accelerator;
}

/**
 * QEMU's software emulation gets cmpxchg16b wrong where processors run side by side (a guest's
 * SLUB allocator then ends in a double fault, measured on 7.2): there the guest does without it.
 */
function cpuModel(cpu: string, accelerator: AcceleratorName): string {
  return accelerator === "tcg" && !cpu.includes("cx16") ? `${cpu},cx16=off` : cpu;
}
