/**
 * What the guest tests take from the distribution, by the command or file that is missing without it.
 * `scripts/packages-test.txt` is the same list of packages for the set-up script; a test holds them
 * together.
 */
export const needs: readonly { readonly package: string; readonly path: string }[] = [
  { package: "qemu-system-x86", path: "/usr/bin/qemu-system-x86_64" },
  { package: "debian-archive-keyring", path: "/usr/share/keyrings/debian-archive-keyring.gpg" },
  { package: "gcc", path: "/usr/bin/gcc" },
  { package: "make", path: "/usr/bin/make" },
  { package: "libc6-dev", path: "/usr/include/stdio.h" },
  { package: "linux-libc-dev", path: "/usr/include/linux/bpf.h" },
  { package: "busybox-static", path: "/usr/bin/busybox" },
  { package: "bash", path: "/usr/bin/bash" },
  { package: "kmod", path: "/usr/bin/kmod" },
  { package: "procps", path: "/usr/bin/ps" },
  { package: "iproute2", path: "/usr/bin/ss" },
  { package: "util-linux", path: "/usr/bin/setpriv" },
  { package: "lsof", path: "/usr/bin/lsof" },
  { package: "bpftool", path: "/usr/sbin/bpftool" },
  { package: "nftables", path: "/usr/sbin/nft" },
  { package: "makedumpfile", path: "/usr/bin/makedumpfile" },
  { package: "xz-utils", path: "/usr/bin/xz" },
  { package: "grub-pc-bin", path: "/usr/lib/grub/i386-pc/boot.img" },
  { package: "grub-common", path: "/usr/bin/grub-mkimage" },
  { package: "ovmf", path: "/usr/share/OVMF/OVMF_CODE_4M.fd" },
  { package: "fdisk", path: "/usr/sbin/sfdisk" },
  { package: "lvm2", path: "/usr/sbin/lvm" },
  { package: "xfsprogs", path: "/usr/sbin/mkfs.xfs" },
  { package: "zstd", path: "/usr/bin/zstd" },
  { package: "tcpdump", path: "/usr/bin/tcpdump" },
];
