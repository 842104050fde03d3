import type { HarmlessCause } from "./harmless.ts";

/**
 * What administrators and programs do on a whole Debian, in bash that stops at the first failure.
 * Wherever a command may fail without a word, what it did is asked for afterwards. The user alice and
 * /root/busybox are there, /root/livepatch.ko where the kernel's headers are.
 */
export const tracingCauses: readonly HarmlessCause[] = [
  {
    title: "a livepatch that a sleeping task holds up",
    commands: `test -e /root/livepatch.ko || exit 0
      python3 -c 'import signal; signal.pause()' & sleeper=$!
      sleep 2; insmod /root/livepatch.ko
      state=/sys/kernel/livepatch/livepatch; sleep 5
      test "$(cat $state/transition)" = 1
      kill $sleeper
      until test "$(cat $state/transition)" = 0; do sleep 0.5; done
      grep -q 'live patched' /proc/cmdline
      echo 0 > $state/enabled
      while test -d $state; do sleep 0.5; done
      until rmmod livepatch; do sleep 0.5; done`,
  },
  {
    title: "perf: counters, profiles, probes",
    commands: `cd /tmp
      perf stat -a -e context-switches,cpu-clock sleep 1 2> stat; grep -q context-switches stat
      perf record -q -F 99 -a -g -e cpu-clock -o profile sleep 2; test -s profile
      perf probe -q --add do_sys_openat2; perf probe -l | grep -q do_sys_openat2
      perf stat -e probe:do_sys_openat2 -a cat /etc/hostname 2>&1 | grep -q openat2
      perf probe -q --del do_sys_openat2
      perf trace -o trace -s sleep 1 || true
      perf probe -q -x /bin/bash --add main && perf probe -q --del main; rm -f stat profile trace`,
  },
  {
    title: "bpftrace on kprobes, functions, tracepoints, user functions and timers",
    commands: `timeout -s INT 200 bpftrace -e '
        kprobe:vfs_read { @reads[comm] = count(); } kretprobe:vfs_write { @writes = hist(retval); }
        tracepoint:syscalls:sys_enter_openat { @opened[str(args->filename)] = count(); }
        uprobe:/bin/bash:shell_execve { @executed = count(); }
        profile:hz:20 { @stacks[kstack] = count(); } interval:s:10 { exit(); }' > /tmp/traced &
      tracer=$!
      until test -s /tmp/traced; do bash -c 'cat /etc/hosts /etc/passwd > /dev/null'; sleep 0.5; done
      for round in $(seq 8); do bash -c 'cat /etc/hosts > /dev/null'; sleep 1; done
      wait $tracer; grep -q '@reads' /tmp/traced
      timeout 100 bpftrace -e 'kfunc:vfs_read { @ = count(); } interval:s:3 { exit(); }' > /tmp/traced
      grep -q '@' /tmp/traced`,
  },
  {
    title: "strace, ltrace and gdb at running programs",
    commands: `sleep 1000 & target=$!
      timeout -s INT 4 strace -f -o /tmp/calls -p $target || true
      timeout -s INT 4 ltrace -o /tmp/calls -p $target || true
      strace -f -o /tmp/calls bash -c 'ls / > /dev/null'; grep -q execve /tmp/calls
      ltrace -o /tmp/calls ls / > /dev/null || true
      gdb -q -batch -p $target -ex 'break nanosleep' -ex 'info threads' -ex 'call (int)getpid()' -ex detach > /tmp/gdb 2>&1
      grep -q "= $target" /tmp/gdb
      gdb -q -batch -ex 'break main' -ex 'catch syscall exit_group' -ex run -ex 'info registers rip' -ex 'continue' /bin/true > /tmp/gdb 2>&1 || true
      kill $target`,
  },
];

export const powerCauses: readonly HarmlessCause[] = [
  {
    title: "a kernel loaded for kexec, and taken back",
    commands: `kexec -s -l /boot/vmlinuz-$(uname -r) --initrd=/boot/initrd.img-$(uname -r) --reuse-cmdline
      test "$(cat /sys/kernel/kexec_loaded)" = 1; sleep 2; kexec -s -u
      kexec -c -l /boot/vmlinuz-$(uname -r) --initrd=/boot/initrd.img-$(uname -r) --reuse-cmdline
      sleep 2; kexec -c -u`,
  },
  {
    title: "swap on zram and in a file, huge pages, merged pages",
    commands: `modprobe zram; device=$(zramctl -f -s 200M); mkswap -q $device; swapon -p 10 $device
      fallocate -l 100M /swap; chmod 600 /swap; mkswap -q /swap; swapon /swap
      test $(wc -l < /proc/swaps) -ge 3
      echo 1 > /sys/kernel/mm/ksm/run; echo 20 > /sys/kernel/mm/ksm/sleep_millisecs
      echo 16 > /proc/sys/vm/nr_hugepages
      cat > /tmp/pages.py <<'END'
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None, use_errno=True)
merged = mmap.mmap(-1, 32 << 20)
for at in range(0, len(merged), 4096): merged[at:at + 8] = b"the same"
merged.madvise(12)
whole = mmap.mmap(-1, 64 << 20); whole.madvise(14); whole[0:8 << 20] = b"x" * (8 << 20)
huge = libc.mmap(None, 4 << 20, 3, 0x40022, -1, 0)
for at in range(int(sys.argv[1])):
    block = bytearray(1 << 20); whole[at % 64 << 20:(at % 64 << 20) + 4096] = bytes(4096); keep = globals().setdefault("keep", []); keep.append(block)
time.sleep(10)
END
      megabytes=$(awk '/MemAvailable/ {print int($2 / 1024) + 60}' /proc/meminfo)
      python3 /tmp/pages.py $megabytes & hog=$!
      wait $hog || true
      test $(awk '/pswpout/ {print $2}' /proc/vmstat) -gt 0
      echo 2 > /sys/kernel/mm/ksm/run; echo 0 > /sys/kernel/mm/ksm/run; echo 0 > /proc/sys/vm/nr_hugepages
      swapoff /swap; swapoff $device
      for try in $(seq 30); do zramctl -r $device && break; sleep 1; done; rm /swap /tmp/pages.py; modprobe -r zram`,
  },
];

export const diskCauses: readonly HarmlessCause[] = [
  {
    title: "loop devices, mdraid, LVM, dm-crypt and the file systems on them",
    commands: `cd /root; mkdir -p a b c
      for number in 1 2 3; do truncate -s 100M disk$number; losetup /dev/loop$number disk$number; done
      mdadm -q --create /dev/md7 --run --level=1 --raid-devices=2 --metadata=1.2 /dev/loop1 /dev/loop2
      grep -q md7 /proc/mdstat
      pvcreate -q /dev/md7; vgcreate -q silent /dev/md7; lvcreate -q -y -L 40M -n one silent; lvcreate -q -y -s -L 20M -n two silent/one || true
      mkfs.ext4 -q /dev/silent/one; mount /dev/silent/one a; cp /bin/ls a/ls; a/ls / > /dev/null
      printf secret | cryptsetup open --type plain -c aes-xts-plain64 -s 256 -h sha256 /dev/loop3 hidden -d -
      mkfs.ext4 -q /dev/mapper/hidden; mount /dev/mapper/hidden b; cp /bin/sleep b/sleep; b/sleep 5 & runs=$!
      sleep 6; wait $runs; umount a b; cryptsetup close hidden
      vgremove -q -y silent; mdadm -q --stop /dev/md7; losetup -D; rm disk?`,
  },
  {
    title: "overlays, squashfs, fuse and bind mounts, programs run out of them",
    commands: `cd /root; mkdir -p a b c d lower upper work; cp /bin/sleep /bin/ls lower
      mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work a
      a/sleep 8 & begun=$!; touch a/sleep; a/ls a > /dev/null; cp /bin/true a/ls; a/ls
      mksquashfs lower image.sqfs -quiet -no-progress > /dev/null; mount -o loop image.sqfs b; b/sleep 8 & begun="$begun $!"
      bindfs lower c; c/sleep 8 & begun="$begun $!"; grep -q fuse /proc/mounts
      mount --bind /usr/bin d; d/sleep 8 & begun="$begun $!"; mount -t tmpfs tmpfs work; cp /bin/sleep work; work/sleep 8 & begun="$begun $!"
      for each in $begun; do wait $each; done; umount a b d work; fusermount3 -u c || fusermount -u c; rm -r a b c d lower upper work image.sqfs`,
  },
];
