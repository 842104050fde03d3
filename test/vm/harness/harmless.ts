/** What people do on their own guests and no check may take for an intrusion. */
export type HarmlessCause = { readonly title: string; readonly commands: string };

const TRACING = "cd /sys/kernel/tracing || exit 1";
/** Of the beginning of functions: ftrace's call and the instructions after it. */
const OFFSETS = "0 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24";

/** Of the kernel alone: they need nothing but a shell. */
export const harmlessCauses: readonly HarmlessCause[] = [
  {
    title: "tracers of all functions that come and go",
    commands: `${TRACING}
      for tracer in function function_graph; do
        echo $tracer > current_tracer; cat /proc/net/tcp > /dev/null; echo nop > current_tracer
      done`,
  },
  {
    title: "kprobes side by side, optimised or not",
    commands: `${TRACING}
      for function in vfs_read tcp4_seq_show do_sys_openat2 x64_sys_call; do
        for offset in ${OFFSETS}; do
          echo "p:k_\${offset}_$function $function+$offset" >> kprobe_events || true
        done
        echo "r:r_$function $function" >> kprobe_events || true
      done 2> /dev/null
      test $(wc -l < kprobe_events) -gt 10
      echo 1 > events/kprobes/enable; sleep 2
      echo 0 > /proc/sys/debug/kprobes-optimization; sleep 1
      echo 1 > /proc/sys/debug/kprobes-optimization; sleep 2
      echo 0 > events/kprobes/enable; echo > kprobe_events`,
  },
  {
    title: "all events of the kernel switched on and off",
    commands: `${TRACING}
      for round in 1 2; do echo 1 > events/enable; echo 0 > events/enable; done`,
  },
  {
    title: "modules of the distribution loaded and unloaded",
    commands: `for round in $(seq 15); do
        for module in dummy bridge tun; do modprobe $module; modprobe -r $module; done
      done`,
  },
  {
    title: "a processor taken away and given back",
    commands: `cd /sys/devices/system/cpu/cpu1 || exit 1
      for round in 1 2; do echo 0 > online; sleep 1; echo 1 > online; sleep 1; done`,
  },
];

/** livepatch.ko, with a task in the function that it replaces, which holds the transition up. */
export const livepatching: HarmlessCause = {
  title: "a livepatch, also while tasks have not gone over to it",
  commands: `insmod /root/livepatch.ko
    grep -q 'live patched' /proc/cmdline
    state=/sys/kernel/livepatch/livepatch
    while [ $(cat $state/transition) = 1 ]; do sleep 0.2; done
    echo 0 > $state/enabled
    while [ -d $state ]; do sleep 0.2; done
    until rmmod livepatch 2> /dev/null; do sleep 0.2; done`,
};

/** ordinary-driver.ko, with everything open that it brings. */
export const foreignDriver: HarmlessCause = {
  title: "a driver from elsewhere, whose devices, files and file system are in use",
  commands: `insmod /root/ordinary-driver.ko
    major() { grep " $1$" /proc/devices | sed 's/ .*//'; }
    mkdir -p /mnt/ordinary; mount -t ordinary none /mnt/ordinary
    test -e /dev/ordinary || mknod /dev/ordinary c 10 $(grep ordinary /proc/misc | sed 's/ ordinary//')
    test -e /dev/numbered || mknod /dev/numbered c $(major ordinary) 0
    test -e /dev/ttyORD || mknod /dev/ttyORD c $(major ttyORD) 0
    ip link set ordinary0 up
    bash -c 'exec 4</dev/ordinary 5</dev/numbered 6</proc/ordinary 7</sys/kernel/debug/ordinary
      exec 8</mnt/ordinary/file 9</dev/ttyORD
      read -u 4 line; read -u 6 line; read -u 7 line; exec sleep 77777' >/dev/null 2>&1 </dev/null &
    holder=$!; until grep -q sleep /proc/$holder/comm; do sleep 0.1; done; sleep 2
    ls -l /proc/$holder/fd | grep -q 'anon_inode:.ordinary'
    kill $holder; while kill -0 $holder 2>/dev/null; do sleep 0.1; done
    umount /mnt/ordinary; ip link set ordinary0 down
    until busybox rmmod ordinary_driver 2>/dev/null; do sleep 0.2; done`,
};
