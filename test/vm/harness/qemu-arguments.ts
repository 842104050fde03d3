import { join } from "node:path";

export type RamKind = "memfd" | "file" | "anonymous";
export type Machine = "q35" | "pc" | "microvm";

export type Hardware = {
  /** As QEMU's -m takes it; "512M" unless told. */
  readonly memory?: string;
  readonly cpus?: number;
  readonly ram?: RamKind;
  readonly machine?: Machine;
  /**
   * As QEMU's -cpu takes it; "max" unless told, which has 5-level paging. Always without
   * cmpxchg16b, after which QEMU 7.2's emulation leaves a stray word in EFLAGS: a kernel that is
   * interrupted there dies, most often in kmem_cache_alloc (measured on 6.12 with 1 to 4 CPUs).
   */
  readonly cpu?: string;
  /** Raw or qcow2 files that appear as virtio disks vda, vdb, … */
  readonly disks?: readonly { readonly file: string; readonly format: "raw" | "qcow2" }[];
  /** A user-mode network card. */
  readonly network?: boolean;
  /** The guest may reset itself; else a reset (so also a panic) ends its QEMU. */
  readonly reboot?: boolean;
  /** UEFI firmware (Debian's package ovmf) in place of the BIOS. */
  readonly uefi?: boolean;
  /** How commands reach the guest; "virtio" unless told. */
  readonly link?: "virtio" | "serial";
  /** More arguments for QEMU. */
  readonly qemu?: readonly string[];
};

/** It asks for nothing to be stored: without a drive for its variables they live in memory. */
const UEFI = "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";

/** Files and sockets of one guest, all in its own folder. */
export type GuestPaths = ReturnType<typeof guestPaths>;

export function guestPaths(home: string) {
  return {
    home,
    initramfs: join(home, "initramfs"),
    bootDisk: join(home, "disk.qcow2"),
    console: join(home, "console"),
    agent: join(home, "agent.sock"),
    /** For what is tested. */
    qmp: join(home, "qmp.sock"),
    /** For the harness itself. */
    monitor: join(home, "monitor.sock"),
    ram: join(home, "ram"),
  };
}

/**
 * The agent's device. With `serial` it is the second serial port, which asks no module of the
 * kernel; virtio is faster.
 */
export function agentPort(hardware: Hardware): string {
  return hardware.link === "serial" ? "/dev/ttyS1" : "/dev/vport0p1";
}

/** microvm has no PCI; its virtio devices are memory-mapped and announced through ACPI. */
export function hardwareModules(hardware: Hardware): string[] {
  const devices = [
    ...(hardware.link === "serial" ? [] : ["virtio_console"]),
    ...(hardware.disks === undefined ? [] : ["virtio_blk"]),
    ...(hardware.network === true ? ["virtio_net"] : []),
  ];
  const bus = hardware.machine === "microvm" ? "virtio_mmio" : "virtio_pci";
  return devices.length === 0 ? [] : [bus, ...devices];
}

/** Everything but the kernel, its command line and the accelerator. */
export function hardwareArguments(name: string, paths: GuestPaths, hardware: Hardware): string[] {
  return [
    ["-name", name, "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"],
    ["-smp", String(hardware.cpus ?? 1), "-cpu", `${hardware.cpu ?? "max"},cx16=off`],
    ramArguments(paths, hardware),
    ["-chardev", `file,id=console,path=${paths.console}`, "-serial", "chardev:console"],
    ["-chardev", `socket,id=agent,path=${paths.agent},server=on,wait=off`],
    agentArguments(hardware),
    ["-qmp", `unix:${paths.qmp},server=on,wait=off`],
    ["-qmp", `unix:${paths.monitor},server=on,wait=off`],
    hardware.reboot === true ? [] : ["-no-reboot"],
    hardware.uefi === true ? ["-drive", UEFI] : [],
    diskArguments(hardware),
    networkArguments(hardware),
    hardware.qemu ?? [],
  ].flat();
}

/** A virtio device on the bus that the machine has. */
function virtio(kind: string, hardware: Hardware): string {
  return `virtio-${kind}-${hardware.machine === "microvm" ? "device" : "pci"}`;
}

function diskArguments(hardware: Hardware): string[] {
  const disks = hardware.disks ?? [];
  const args = disks.map(({ file, format }, index) => [
    "-drive",
    `if=none,id=disk${index},file=${file},format=${format}`,
    "-device",
    `${virtio("blk", hardware)},drive=disk${index}`,
  ]);
  return args.flat();
}

function networkArguments(hardware: Hardware): string[] {
  if (hardware.network !== true) return ["-nic", "none"];
  return ["-netdev", "user,id=net0", "-device", `${virtio("net", hardware)},netdev=net0`];
}

function ramArguments(paths: GuestPaths, hardware: Hardware): string[] {
  const machine = hardware.machine ?? "q35";
  const size = hardware.memory ?? "512M";
  const object = {
    memfd: `memory-backend-memfd,id=ram,size=${size},share=on`,
    file: `memory-backend-file,id=ram,size=${size},share=on,mem-path=${paths.ram}`,
    anonymous: undefined,
  }[hardware.ram ?? "memfd"];
  if (object === undefined) return ["-machine", machine, "-m", size];
  return ["-object", object, "-machine", `${machine},memory-backend=ram`, "-m", size];
}

function agentArguments(hardware: Hardware): string[] {
  if (hardware.link === "serial") return ["-device", "isa-serial,index=1,chardev=agent"];
  const port = "virtserialport,chardev=agent,name=kvmsec.test";
  return ["-device", virtio("serial", hardware), "-device", port];
}
