import type { HarmlessCause } from "./harmless.ts";

const SSH = "ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null alice@localhost";

/** Who comes in, becomes somebody else, and leaves programs behind; see server-causes.ts. */
export const loginCauses: readonly HarmlessCause[] = [
  {
    title: "logins over ssh, with and without a terminal, sudo and su",
    commands: `systemctl start ssh
      ${SSH} 'bash -s' <<'END'
id; sudo id -u; sudo -u nobody id; (sudo sleep 15 &) ; sleep 1
END
      ${SSH} -tt 'sudo su - -c "su alice -c \\"sudo sleep 8\\"; id"' | grep -q uid=0
      ${SSH} 'cat; sleep 3' < /etc/hostname > /dev/null & ${SSH} -N -L 4000:localhost:22 & forward=$!
      sleep 4; su - alice -c 'sudo -i id' | grep -q uid=0
      runuser -u alice -- setpriv --no-new-privs sleep 2
      printf 'cd /tmp\\nput /etc/hosts\\nls\\n' | sftp -q -b - -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null alice@localhost > /dev/null
      kill $forward; wait`,
  },
  {
    title: "cron, at, and sessions and services of systemd",
    commands: `echo '* * * * * alice /bin/sh -c "id; sleep 5" > /tmp/cron 2>&1' > /etc/cron.d/silent
      echo '* * * * * root /bin/sh -c "id; sleep 5" > /tmp/cron-root 2>&1' >> /etc/cron.d/silent
      systemctl start cron atd
      echo 'sleep 5; id > /tmp/at' | at -q a now 2> /dev/null
      loginctl enable-linger alice
      until systemctl is-active -q user@1000; do sleep 1; done
      export XDG_RUNTIME_DIR=/run/user/1000
      until test -S $XDG_RUNTIME_DIR/bus; do sleep 1; done
      runuser -u alice -- systemd-run -q --user --wait sleep 3
      runuser -u alice -- systemd-run -q --user --scope sh -c 'sleep 3'
      systemd-run -q --uid=alice --pty --wait id < /dev/null > /dev/null || true
      systemd-run -q --wait -p DynamicUser=yes -p PrivateUsers=yes -p PrivateTmp=yes -p ProtectSystem=strict \\
        -p SystemCallFilter=@system-service -p NoNewPrivileges=yes -p MemoryDenyWriteExecute=yes -p PrivateNetwork=yes sleep 4
      systemd-run -q --wait -p AmbientCapabilities=CAP_NET_BIND_SERVICE -p User=nobody sleep 3
      until test -s /tmp/cron && test -s /tmp/at; do sleep 2; done
      loginctl disable-linger alice; rm /etc/cron.d/silent; systemctl daemon-reload; systemctl daemon-reexec`,
  },
  {
    title: "tmux, screen, and shells over pipes, terminals and named pipes",
    commands: `tmux -L silent new-session -d -s one 'bash'; tmux -L silent send-keys -t one 'sleep 5 | cat' Enter
      tmux -L silent split-window -t one 'su - alice'; screen -dmS two bash -c 'cat /etc/hosts | sh -c "sleep 5; cat"'
      mkfifo /tmp/orders; bash -i < /tmp/orders > /tmp/answers 2>&1 & shell=$!
      { echo id; sleep 5; echo 'sleep 3; exit'; } > /tmp/orders
      wait $shell; grep -q uid=0 /tmp/answers
      script -qc 'bash -c "id; sleep 3"' /tmp/typed > /dev/null
      printf '#!/bin/bash\nsleep 3\n' > /tmp/shell; chmod +x /tmp/shell; socat -u EXEC:/tmp/shell,pty,stderr STDOUT
      curl=$(command -v true); sh -c "$curl | sh | tee /dev/null"
      tmux -L silent list-sessions | grep -q one; tmux -L silent kill-server; screen -S two -X quit || true
      rm /tmp/orders /tmp/answers /tmp/typed /tmp/shell`,
  },
  {
    title: "programs in user namespaces and behind seccomp, containers of systemd and bubblewrap",
    commands: `begun=
      for user in root alice; do
        runuser -u $user -- bwrap --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --unshare-all --die-with-parent sh -c 'sleep 6' & begun="$begun $!"
      done
      runuser -u alice -- unshare -Urpfmn --mount-proc sh -c 'unshare -Ur sleep 6' & begun="$begun $!"
      runuser -u alice -- unshare -Ur --map-auto sleep 6 || true
      mkdir -p /root/machine/{bin,dev,etc,proc,root,run,sys,tmp,usr,var}; cp /root/busybox /root/machine/bin/sleep
      echo ID=silent > /root/machine/etc/os-release
      systemd-nspawn -q --register=no --keep-unit --private-users=pick -D /root/machine /bin/sleep 6 < /dev/null
      for each in $begun; do wait $each; done; rm -r /root/machine`,
  },
  {
    title: "containers that are made, started, entered, paused, stopped and removed",
    commands: `mkdir -p /root/tree/bin; cp /root/busybox /root/tree/bin; ln -sf busybox /root/tree/bin/sh; ln -sf busybox /root/tree/bin/sleep
      tar -C /root/tree -cf /root/tree.tar .
      podman import -q /root/tree.tar silent:1 > /dev/null
      podman run -q -d --name one --network none silent:1 sleep 1000 > /dev/null
      podman run -q -d --name two --network host --cap-drop all --read-only silent:1 sleep 1000 > /dev/null
      podman run -q -d --name three --privileged --pid host --network none silent:1 sleep 1000 > /dev/null
      podman run -q -d --name four --network podman -p 8080:80 silent:1 sleep 1000 > /dev/null || podman run -d --name four --network none silent:1 sleep 1000
      test $(podman ps -q | wc -l) = 4
      podman exec one sh -c 'sleep 2'; podman pause one; sleep 2; podman unpause one
      podman exec -d two sleep 5; podman run -q --rm --network none silent:1 sh -c 'sleep 1'
      podman stop -t 1 one > /dev/null; podman restart -t 1 two > /dev/null; podman kill three > /dev/null
      chmod 755 /root; chmod 644 /root/tree.tar
      su - alice -c 'podman --cgroup-manager=cgroupfs --events-backend=file import -q /root/tree.tar silent:2 && podman --cgroup-manager=cgroupfs --events-backend=file run -q --rm --network none silent:2 sleep 5' > /dev/null
      podman rm -f -a > /dev/null; podman rmi -f silent:1 > /dev/null; rm -r /root/tree /root/tree.tar`,
  },
];

/** Runtimes that write code while they run, compilers, a machine inside the machine. */
export const runtimeCauses: readonly HarmlessCause[] = [
  {
    title: "node and java, which compile while they run",
    commands: `node -e 'const f = (x) => { let s = 0; for (let i = 0; i < 1e5; i++) s += i * x; return s; }; const end = Date.now() + 12000; (function go() { f(3); if (Date.now() < end) setImmediate(go); })(); new (require("worker_threads").Worker)("for (let i = 0; i < 1e7; i++) Math.sqrt(i)", { eval: true }); WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))' &
      compiled=$!; rmiregistry 4321 & registry=$!
      rm -f /tmp/keys; keytool -genkeypair -alias one -keyalg EC -dname CN=one -storepass changeit -keystore /tmp/keys
      test -s /tmp/keys; rm /tmp/keys; wait $compiled; kill $registry`,
  },
  {
    title: "programs built, run, and built anew while they run",
    commands: `mkdir -p /root/build; cd /root/build
      cat > one.c <<'END'
#include <unistd.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
int plus(int x);
int main(int argc, char **argv) { int twice(int x) { return x * 2 + argc; } int (*f)(int) = twice; sleep(6); return plus(f(1)) == 0; }
END
      printf 'int plus(int x) { return x + 1; }\\n' > two.c
      cat > Makefile <<'END'
one: one.c libtwo.so
	gcc -O2 -z execstack -o one one.c -L. -ltwo -Wl,-rpath,'$$ORIGIN'
libtwo.so: two.c
	gcc -O2 -shared -fPIC -o libtwo.so two.c
END
      make -s; ./one & ./one & sleep 1
      touch one.c two.c; make -s -B; ./one & rm -f one; make -s one; wait; cd /; rm -r /root/build`,
  },
  {
    title: "a machine inside the machine",
    commands: `timeout 30 qemu-system-x86_64 -accel tcg -display none -nodefaults -m 32 -serial stdio < /dev/null > /dev/null || test $? = 124`,
  },
];
