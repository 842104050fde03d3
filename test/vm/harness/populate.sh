# Mounts, network devices, cgroups and processes in them. Prints "NAME PID" for what it leaves running.
set -e

stay() { # NAME COMMAND…
	local name=$1
	shift
	"$@" > /dev/null 2>&1 < /dev/null &
	echo "$name $!"
}

# Mounts: options, names that /proc escapes, one over another, shared, slave, private, overlay.
mkdir -p /mnt/tmpfs "/mnt/odd name" $'/mnt/line\nbreak' /mnt/bind /mnt/over /mnt/shared /mnt/lower /mnt/upper
mount -t tmpfs -o size=1m,nosuid,nodev,noexec,mode=700 "tmpfs source" /mnt/tmpfs
mount -t tmpfs tmpfs "/mnt/odd name"
mount -t tmpfs tmpfs $'/mnt/line\nbreak'
mount --bind /mnt/tmpfs /mnt/bind
mount -o remount,ro,bind /mnt/bind
mount -t tmpfs first /mnt/over
mount -t tmpfs second /mnt/over
mount -t tmpfs shared /mnt/shared
mount --make-shared /mnt/shared
mkdir /mnt/tmpfs/upper /mnt/tmpfs/work /mnt/overlay
echo lower > /mnt/lower/file
mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/tmpfs/upper,workdir=/mnt/tmpfs/work overlay /mnt/overlay
stay mount_namespace unshare --mount --propagation slave sh -c 'mount -t tmpfs only-here /mnt/upper; exec sleep 1000001'
stay all_namespaces unshare --mount --uts --ipc --net --pid --fork --cgroup --user --map-root-user --time sleep 1000002

# Network devices with addresses; one end of a pair in another namespace.
ip link add dummy7 type dummy
ip link set dummy7 address 02:00:00:00:00:07 mtu 1400 up
ip address add 192.0.2.7/24 dev dummy7
ip address add 198.51.100.7/32 peer 198.51.100.8 dev dummy7 label dummy7:1
ip -6 address add 2001:db8::7/64 dev dummy7 nodad
ip link add link dummy7 name dummy7.100 type vlan id 100
ip link add bridge7 type bridge
ip link add veth7a type veth peer name veth7b
ip link set veth7a master bridge7 up
ip link set bridge7 up
stay network_namespace unshare --net sleep 1000003
far=$!
until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link set veth7b netns $far
nsenter --net=/proc/$far/ns/net ip address add 203.0.113.7/24 dev veth7b
nsenter --net=/proc/$far/ns/net ip link set veth7b up

# Control groups, three deep, with processes, limits and a name that needs care.
echo "+pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p /sys/fs/cgroup/pop.slice/inner.slice/deep.scope "/sys/fs/cgroup/odd name"
echo "+pids" > /sys/fs/cgroup/pop.slice/cgroup.subtree_control
echo 50 > /sys/fs/cgroup/pop.slice/pids.max
for group in pop.slice/inner.slice/deep.scope "odd name"; do
	stay "cgroup_${group##*/}" sh -c 'echo $$ > "/sys/fs/cgroup/$0/cgroup.procs"; exec sleep 1000004' "$group"
done | sed 's/odd name/odd/'

# Users.
stay alice setpriv --reuid=1000 --regid=1000 --clear-groups sleep 1000005
stay bob setpriv --reuid=1001 --regid=1001 --groups=33,1000 sleep 1000006
