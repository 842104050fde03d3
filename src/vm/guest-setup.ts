import type { ImageRecipe } from "./image-recipe.ts";

/** Units that a throwaway guest does not need and that cost it seconds of its boot under TCG. */
const maskedUnits: readonly string[] = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "getty@tty1.service",
  "logrotate.timer",
  "man-db.timer",
  "modprobe@dm_mod.service",
  "modprobe@drm.service",
  "modprobe@efi_pstore.service",
  "modprobe@fuse.service",
  "modprobe@loop.service",
  "systemd-networkd-wait-online.service",
  "systemd-pstore.service",
];

/** What the initrd needs to find the disk: PCI machines, microvm's MMIO, ext4 where it is a module. */
const initrdModules: readonly string[] = ["virtio_pci", "virtio_mmio", "virtio_blk", "ext4"];

/** The host's settings for apt, in the guest's configuration while its packages are fetched. */
const HOST_SETTINGS = "/etc/apt/apt.conf.d/00host";

/** Shell code for mmdebstrap's --setup-hook: apt goes the host's way (proxy, retries, …). */
export function aptSettingsHook(settings: readonly string[]): string {
  return script(['mkdir -p "$1/etc/apt/apt.conf.d"', writeFile(HOST_SETTINGS, settings)]);
}

/**
 * Shell code for mmdebstrap's --setup-hook, where the archive is of its own choice: the backports
 * are taken from where it takes the release from. It writes a line for each suite before that.
 */
export function backportsHook(release: string, backports: string): string {
  const sources = '"$1/etc/apt/sources.list"';
  return script([
    `sed -n '/^deb /s/ ${release} main$/ ${backports} main/p' ${sources} > "$1/tmp/backports"`,
    `cat "$1/tmp/backports" >> ${sources}`,
    'rm "$1/tmp/backports"',
  ]);
}

/**
 * Shell code for mmdebstrap's --essential-hook: the initrd holds what its disk needs instead of
 * every driver there is, which makes it a third of the size and quicker to make and to unpack.
 */
export function essentialHook(): string {
  return script([
    'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"',
    // Manual pages are left out, but Java's packages fail where their folder is missing.
    'mkdir -p "$1/usr/share/man/man1"',
    writeFile("/etc/initramfs-tools/conf.d/kvmsec", ["MODULES=list"]),
    writeFile("/usr/share/initramfs-tools/modules.d/kvmsec", initrdModules),
  ]);
}

/**
 * Shell code for mmdebstrap's --customize-hook. The guest is a throwaway one: root has no password
 * and is logged in on the serial console, which only the owner of the QEMU can reach.
 */
export function customizeHook(recipe: ImageRecipe): string {
  return script([
    writeFile("/etc/hostname", ["guest"]),
    writeFile("/etc/hosts", ["127.0.0.1 localhost", "127.0.1.1 guest", "::1 localhost"]),
    writeFile("/etc/fstab", ["# The kernel mounts the root file system (root= and rw)."]),
    writeFile("/etc/default/locale", ["LANG=C.UTF-8"]),
    // QEMU's user-mode network answers names there.
    writeFile("/etc/resolv.conf", ["nameserver 10.0.2.3"]),
    writeFile("/etc/systemd/network/80-dhcp.network", [
      "[Match]",
      "Type=ether",
      "",
      "[Network]",
      "DHCP=ipv4",
    ]),
    'mkdir -p "$1/etc/systemd/system/serial-getty@ttyS0.service.d"',
    writeFile("/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf", [
      "[Service]",
      "ExecStart=",
      "ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,57600,38400,9600 %I $TERM",
    ]),
    // The guest's own: not every host has one.
    'chroot "$1" systemctl --quiet enable systemd-networkd.service',
    ...maskedUnits.map((unit) => `ln -sf /dev/null "$1/etc/systemd/system/${unit}"`),
    // Left by the installation: the kernel's links in / and apt's and dpkg's logs.
    'rm -f "$1/vmlinuz.old" "$1/initrd.img.old"',
    `rm -f "$1${HOST_SETTINGS}"`,
    'rm -f "$1"/var/log/apt/* "$1/var/log/dpkg.log" "$1/var/log/bootstrap.log"',
    writeFile("/etc/kvmsec-image", [
      `distribution=${recipe.distribution}`,
      `release=${recipe.release}`,
      `kernel=${recipe.kernel}`,
    ]),
  ]);
}

function script(lines: readonly string[]): string {
  return ["set -eu", ...lines].join("\n");
}

function writeFile(path: string, lines: readonly string[]): string {
  const quoted = lines.map((line) => `'${line.replaceAll("'", String.raw`'\''`)}'`).join(" ");
  return `printf '%s\\n' ${quoted} > "$1${path}"`;
}
