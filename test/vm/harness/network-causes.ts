import type { HarmlessCause } from "./harmless.ts";

/** What guards a machine's network and its programs; see server-causes.ts. */
export const networkCauses: readonly HarmlessCause[] = [
  {
    title: "firewalls loaded and reloaded, fail2ban",
    commands: `cat > /etc/nftables.conf <<'END'
flush ruleset
table inet filter {
  set bad { type ipv4_addr; flags timeout; }
  chain input { type filter hook input priority 0; policy accept; ct state established,related accept; ip saddr @bad drop; tcp dport 22 counter limit rate 10/second log prefix "ssh " accept; }
  chain out { type nat hook postrouting priority 100; ip daddr 10.9.0.0/16 masquerade; }
}
END
      for round in 1 2 3; do systemctl restart nftables; sleep 1; nft list ruleset | grep -q masquerade; done
      nft add element inet filter bad '{ 192.0.2.1 timeout 5s }'
      iptables -A INPUT -p tcp --dport 99 -j DROP; iptables -D INPUT -p tcp --dport 99 -j DROP
      mkdir -p /etc/fail2ban/jail.d; printf '[sshd]\\nenabled = true\\nbackend = systemd\\nbanaction = nftables\\n' > /etc/fail2ban/jail.d/silent.conf
      systemctl start fail2ban; until fail2ban-client ping > /dev/null; do sleep 1; done
      fail2ban-client set sshd banip 192.0.2.7 > /dev/null; sleep 2; fail2ban-client reload > /dev/null; systemctl stop fail2ban
      systemctl stop nftables`,
  },
  {
    title: "links of all kinds, name spaces, traffic control, a tunnel",
    commands: `ip netns add other; ip link add left type veth peer name right; ip link set right netns other
      ip link add bridge0 type bridge; ip link set left master bridge0; ip link set left up; ip link set bridge0 up
      ip addr add 10.9.0.1/24 dev bridge0; ip -n other addr add 10.9.0.2/24 dev right; ip -n other link set right up
      ip link add link bridge0 name bridge0.5 type vlan id 5; ip link add bond0 type bond; ip link add tap0 type dummy
      ip link add mac0 link bridge0 type macvlan mode bridge; ip link set mac0 up
      ip link add vx0 type vxlan id 7 dstport 4789 dev bridge0; ip link add wg0 type wireguard
      (umask 077; wg genkey > /tmp/key); wg set wg0 private-key /tmp/key listen-port 5182; ip addr add 10.8.0.1/24 dev wg0; ip link set wg0 up
      tc qdisc add dev bridge0 root fq_codel; tc qdisc add dev bridge0 clsact; tc filter add dev bridge0 ingress matchall action ok
      ip netns exec other nc -l -p 8000 > /dev/null & sleep 1
      for try in $(seq 60); do ping -c 1 -W 2 10.9.0.2 > /dev/null && break; done
      echo hello | nc -N -w 5 10.9.0.2 8000
      ip netns exec other socat TCP-LISTEN:8001,fork EXEC:cat & server=$!
      sleep 2; test "$(echo hello | socat -t 5 - TCP:10.9.0.2:8001)" = hello; kill $server
      for device in wg0 vx0 mac0 tap0 bond0 bridge0.5 bridge0 left; do ip link del $device; done
      ip netns del other; modprobe -r wireguard vxlan macvlan bonding || true`,
  },
  {
    title: "captures that leave devices as they are",
    commands: `timeout -s INT 4 tcpdump -q -p -n -i lo -w /tmp/seen 'tcp port 22 and host 127.0.0.1' 2> /dev/null & sleep 2
      ping -c 1 127.0.0.1 > /dev/null; timeout -s INT 3 tcpdump -q -p -n -i any -w /tmp/all 2> /dev/null || true
      wait; test -s /tmp/all; rm /tmp/seen /tmp/all`,
  },
  {
    title: "clocks that are set and kept",
    commands: `systemctl start chrony; chronyc -n tracking > /dev/null || true
      date -s '+90 seconds' > /dev/null; sleep 2; date -s '-90 seconds' > /dev/null; timedatectl > /dev/null; systemctl restart chrony; systemctl stop chrony`,
  },
  {
    title: "audit rules set and loaded, AppArmor's profiles loaded anew",
    commands: `systemctl start auditd; until auditctl -s | grep -q 'enabled 1'; do sleep 1; done
      auditctl -a always,exit -F arch=b64 -S execve -k silent; auditctl -w /etc/passwd -p wa -k silent
      ls > /dev/null; auditctl -l | grep -q silent
      auditctl -d always,exit -F arch=b64 -S execve -k silent
      printf 'profile silent /usr/bin/sleep flags=(attach_disconnected) {\\n  file,\\n  capability,\\n}\\n' > /etc/apparmor.d/silent
      apparmor_parser -a /etc/apparmor.d/silent; sleep 6 & confined=$!
      sleep 1; grep -q '^silent (enforce)' /proc/$confined/attr/current
      for round in 1 2; do apparmor_parser -r /etc/apparmor.d/; done
      printf 'profile silent /usr/bin/sleep flags=(complain) {\\n}\\n' > /etc/apparmor.d/silent; apparmor_parser -r /etc/apparmor.d/silent
      wait; apparmor_parser -R /etc/apparmor.d/silent; rm /etc/apparmor.d/silent; systemctl reload apparmor`,
  },
];

/** Packages of a repository in the guest, each a newer version of an installed one. */
export const packageCauses: readonly HarmlessCause[] = [
  {
    title: "an upgrade of libraries and daemons that are in use",
    commands: `mkdir -p /repo; cd /repo
      systemctl start ssh cron nginx rsyslog
      cat > /root/newer <<'END'
set -eu
dpkg-repack -d-Znone "$1" > /dev/null 2>&1
old=$(ls "\${1}"_*.deb); rm -rf tree; dpkg-deb -R $old tree; rm $old
sed -i 's/^Version: .*/&+newer1/' tree/DEBIAN/control
find tree -type f \\( -name '*.so*' -o -path '*bin/*' \\) | while read -r file; do
  head -c 4 "$file" | grep -q ELF && printf newer >> "$file"
done || true
dpkg-deb -b -Znone tree "$1-newer.deb" > /dev/null; rm -r tree
END
      for package in zlib1g libssl3 libssl3t64 libsystemd0 cron nginx rsyslog; do
        if dpkg -s $package > /dev/null 2>&1; then bash /root/newer $package; fi
      done
      apt-ftparchive packages . > Packages; test -s Packages
      echo 'deb [trusted=yes] file:/repo ./' > /etc/apt/sources.list.d/repo.list
      apt-get -q -y -o Dir::Etc::sourcelist=sources.list.d/repo.list -o Dir::Etc::sourceparts=- update > /dev/null
      DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dir::Etc::sourcelist=sources.list.d/repo.list -o Dir::Etc::sourceparts=- upgrade > /tmp/upgraded 2>&1 || { tail -20 /tmp/upgraded; exit 1; }
      dpkg -s zlib1g | grep -q newer1
      cat /proc/[0-9]*/maps 2> /dev/null | grep -q 'libz.*(deleted)'
      rm -r /repo /etc/apt/sources.list.d/repo.list`,
  },
  {
    title: "a kernel package installed anew over the running kernel's",
    commands: `mkdir -p /repo; cd /repo
      dpkg-repack -d-Znone linux-image-$(uname -r) > /dev/null 2>&1
      old=$(ls linux-image*.deb); dpkg-deb -R $old tree; rm $old; sed -i 's/^Version: .*/&+newer1/' tree/DEBIAN/control
      dpkg-deb -b -Znone tree newer.deb > /dev/null; rm -r tree
      dpkg -i newer.deb > /tmp/installed 2>&1 || { tail -20 /tmp/installed; exit 1; }
      dpkg -s linux-image-$(uname -r) | grep -q newer1; rm -r /repo; depmod -a; modprobe dummy; modprobe -r dummy`,
  },
];
