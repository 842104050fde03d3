import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { View } from "../../../src/views/view.ts";
import { kernel, kernelConfig, type KernelWish } from "../harness/debian-kernel.ts";
import { bootTiny, type Guest } from "../harness/guest.ts";
import { helperProgram } from "../harness/helper-program.ts";
import type { Hardware } from "../harness/qemu-arguments.ts";

/** A guest for the views of network and mounts. */
export type NetGuest = { readonly wish: KernelWish } & Hardware;

/** The modules through which `ss` asks the kernel. */
const diagnostics = ["unix_diag", "tcp_diag", "udp_diag", "raw_diag", "af_packet_diag"];

const modules =
  "dummy veth bridge 8021q overlay nf_tables nf_conntrack nft_ct vsock_loopback vsock_diag".split(
    " ",
  );

/**
 * Two network namespaces with sockets of every kind in both, devices of several kinds between
 * them, and a mount namespace of its own with a tmpfs, bind mounts and an overlay.
 */
export async function bootNetGuest({ wish, ...hardware }: NetGuest): Promise<Guest> {
  const image = await kernel(wish);
  const hasHookNames = kernelConfig(image).get("CONFIG_NETFILTER_NETLINK_HOOK") === "m";
  const zoo = readFileSync(await helperProgram("socket-zoo"));
  const guest = await bootTiny({
    ...hardware,
    kernel: image,
    modules: diagnostics,
    tools: ["nft"],
    availableModules: hasHookNames ? [...modules, "nfnetlink_hook"] : modules,
    files: { "/usr/bin/socket-zoo": { data: zoo, mode: 0o755 } },
  });
  await guest.run(setUpNetwork, { timeout: 240_000 });
  return guest;
}

const setUpNetwork = `
  set -e
  modprobe dummy numdummies=0; modprobe veth; modprobe bridge; modprobe overlay; modprobe 8021q
  # Since 6.1 a namespace gets a table of TCP connections of its own.
  echo 64 > /proc/sys/net/ipv4/tcp_child_ehash_entries || true
  ip netns add blue
  ip link add quiet type dummy
  ip addr add 10.9.9.1/24 dev quiet
  ip link set quiet up
  ip link add left type veth peer name right
  ip link set right netns blue
  ip addr add 10.7.0.1 peer 10.7.0.2/32 dev left
  ip -6 addr add 2001:db8::1/64 dev left nodad
  ip link set left address 02:00:5e:10:00:01 mtu 1400
  ip link set left up
  ip -n blue addr add 10.7.0.2/30 brd + dev right
  ip -n blue link set right up
  ip -n blue link set lo up
  ip link add joined type bridge
  ip link set quiet master joined
  ip link add link left name left.7 type vlan id 7
  ip link set left promisc on
  ping -q -c 2 -i 0.1 10.7.0.2 >/dev/null
  for place in white blue; do mkdir -p /tmp/$place; done
  sysctl -qw net.ipv4.ping_group_range="0 100"
  ip netns exec blue sysctl -qw net.ipv4.ping_group_range="0 100"
`;

/**
 * Starts a program in the guest that says "ready" when it is; it runs until its guest ends. Named
 * by its path, or busybox, whose `setsid` this is, takes an applet of its own.
 */
export async function start(guest: Guest, command: string): Promise<void> {
  const log = `/tmp/log.${Math.random().toString(36).slice(2)}`;
  const waiting = `for i in $(seq 600); do grep -q ready ${log} && exit 0; sleep 0.1; done`;
  await guest.run(`(setsid ${command} > ${log} 2>&1 &); ${waiting}; cat ${log}; exit 1`);
}

/** A view's rows in their JSON form, all of them. */
export function rowsOf<Row, Options extends object, Json>(
  kernel: Kernel,
  view: View<Row, Options>,
  options: Options,
): Json[] {
  kernel.refresh();
  const problems: string[] = [];
  const rows = [...view.read(kernel, options, (reason) => problems.push(reason))];
  assert.deepEqual(problems, []);
  // As scripts get it.
  return JSON.parse(JSON.stringify(rows.map((row) => view.json(row, kernel)))) as Json[];
}

/** Both lists hold the same lines, whatever their order. */
export function assertSameLines(actual: readonly string[], expected: readonly string[]): void {
  assert.deepEqual(actual.toSorted(), expected.toSorted());
}

/** Inode number of the network namespace, `blue` or the initial one. */
export async function netnsOf(guest: Guest, name?: string): Promise<number> {
  const at = name === undefined ? "/proc/self/ns/net" : `/run/netns/${name}`;
  return Number(await guest.run(`stat -L -c %i ${at}`));
}

/** A command in a network namespace, `blue` or the initial one. */
export function within(name: string | undefined, command: string): string {
  return name === undefined ? command : `/usr/sbin/ip netns exec ${name} ${command}`;
}
