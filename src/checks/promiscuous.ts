import type { GuestVirtual } from "../base/address.ts";
import { NetNamespaces, namespaceReader } from "../linux/net-namespace.ts";
import { DeviceNames } from "../linux/netdevice-names.ts";
import { Promiscuities } from "../linux/promiscuity.ts";
import type { Promiscuity } from "../linux/promiscuity.ts";
import type { SocketHolder } from "../linux/socket-files.ts";
import type { Check, CheckContext } from "./check.ts";
import { processes, sockets } from "./user-facts.ts";

/** One packet socket that asked for every packet of a device. */
type Listener = { readonly sock: GuestVirtual; readonly holders: readonly SocketHolder[] };
type Device = Promiscuity & {
  readonly name: string;
  readonly netns: number | null;
  readonly listeners: readonly Listener[];
};

/** No device takes packets that are not for this machine, unless a bridge or the like needs them. */
export const promiscuous: Check = {
  id: "promiscuous",
  proves:
    "No network device is promiscuous for a program or by hand, each one's count of those who asked is explained by what lies on top of it, and none is promiscuous without showing it.",
  reads:
    "net_device.promiscuity, flags, gflags, uc_promisc and upper devices; memberships of packet sockets",
  attack: ["T1040", "T1014"],
  limits:
    "A bridge, bond or macvlan may stand for more than it asks for: one who asks in its place is not told apart. Sniffers that are content with the machine's own packets are for socket-filters.",
  run(context) {
    const { kernel } = context;
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    const devices = new DeviceNames(kernel);
    const namespaces = new NetNamespaces(kernel);
    const promiscuities = new Promiscuities(kernel);
    const listeners = listenersOf(context, promiscuities);
    const number = kernel.reader("net_device", "ifindex");
    let looked = 0;
    for (const net of namespaces.all(budget, problem)) {
      for (const device of devices.devices(net, budget, problem)) {
        const seen = promiscuities.of(device, budget, problem);
        const name = devices.nameOf(device);
        // One that is just going away.
        if (seen === undefined || name === undefined) continue;
        looked++;
        checkDevice(context, {
          ...seen,
          name,
          netns: namespaces.inum(net) ?? null,
          listeners: listeners.get(`${net}/${number(device)}`) ?? [],
        });
      }
    }
    context.cover(looked);
  },
};

/** By namespace and index of the device. */
function listenersOf(
  context: CheckContext,
  promiscuities: Promiscuities,
): ReadonlyMap<string, readonly Listener[]> {
  const { kernel, facts } = context;
  const { rows, problems } = facts.get(sockets);
  for (const problem of problems) context.unseen(problem);
  const netOf = namespaceReader(kernel, "sock_common", "skc_net.net");
  const found = new Map<string, Listener[]>();
  for (const { packet, sock, holders } of rows) {
    if (packet === undefined) continue;
    for (const index of promiscuities.memberships(sock, (reason) => context.unseen(reason))) {
      const key = `${netOf(sock)}/${index}`;
      const known = found.get(key) ?? [];
      known.push({ sock, holders });
      found.set(key, known);
    }
  }
  return found;
}

function checkDevice(context: CheckContext, device: Device): void {
  const { name, netns, count, flag, asked, addresses, above, listeners } = device;
  const certain = listeners.length + (asked ? 1 : 0) + (addresses ? 1 : 0);
  const evidence = { promiscuity: count, flag, asked, above, listeners: listeners.length };
  const common = { subject: { device: name, netns }, evidence };
  if (count < certain || flag !== count > 0) {
    context.report({
      ...common,
      severity: "high",
      confidence: "high",
      title: `Device ${name} takes every packet and hides it: ${certain} asked, its count is ${count}, its flag is ${flag ? "on" : "off"}.`,
    });
  } else if (count > certain + above) {
    context.report({
      ...common,
      severity: "high",
      confidence: "medium",
      title: `Device ${name} takes every packet ${count} times over, and only ${certain + above} of that is explained.`,
    });
  } else if (listeners.length > 0 || asked) {
    reportAsked(context, device, common);
  }
}

function reportAsked(
  context: CheckContext,
  { name, asked, listeners }: Device,
  common: Pick<Parameters<CheckContext["report"]>[0], "subject" | "evidence">,
): void {
  const pids = [...new Set(listeners.flatMap(({ holders }) => holders.map(({ pid }) => pid)))];
  const { rows } = context.facts.get(processes);
  const programs = pids
    .toSorted((a, b) => a - b)
    .map((pid) => rows.find((row) => row.pid === pid))
    .filter((row) => row !== undefined);
  const names = programs.map(({ pid, comm }) => `${pid} (${comm})`).join(", ");
  const who =
    listeners.length === 0 ? "somebody's order" : names || "a socket that nobody has open";
  context.report({
    ...common,
    // Whoever hides from the list of processes, or in the kernel, is no administrator.
    severity: listeners.some(({ holders }) => holders.length === 0) ? "medium" : "low",
    confidence: "high",
    title: `Device ${name} takes every packet, for ${who}.`,
    evidence: {
      ...common.evidence,
      byHand: asked,
      programs: programs.map(({ exe }) => exe ?? null),
    },
  });
}
