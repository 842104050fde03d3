/**
 * What servers and their operators have installed, by what it is there for. Each is used by some
 * harmless cause of server-causes.ts and its like.
 */
const COMMON = [
  // Logins, sessions, timers.
  "openssh-server openssh-client sudo libpam-systemd dbus-user-session cron at rsyslog tmux screen",
  // Pipes and networks.
  "socat netcat-openbsd tcpdump chrony nftables fail2ban python3-systemd iproute2 iputils-ping",
  "wireguard-tools nginx-light psmisc",
  // Containers and confinement.
  "podman crun netavark iptables uidmap fuse-overlayfs systemd-container bubblewrap apparmor auditd",
  // Runtimes, compilers, machines inside the machine.
  "nodejs python3 gcc libc6-dev make qemu-system-x86",
  // Tracing.
  "bpftrace bpftool linux-perf strace gdb ltrace",
  // Disks.
  "e2fsprogs lvm2 mdadm cryptsetup-bin bindfs squashfs-tools",
  // Packages, kernels, power.
  "apt-utils dpkg-repack kexec-tools",
].flatMap((line) => line.split(" "));

export const serverPackages = {
  bookworm: [...COMMON, "openjdk-17-jre-headless"],
  trixie: [...COMMON, "openjdk-21-jre-headless"],
} as const;
