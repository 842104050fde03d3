import { NetNamespaces } from "../linux/net-namespace.ts";
import { NetDevices } from "../linux/netdevice.ts";
import type { NetDevice } from "../linux/netdevice.ts";
import type { View } from "./view.ts";

export type NetDeviceRow = NetDevice & { readonly netns: number | undefined };

/** The guest's network devices in all its network namespaces. */
export const netdevs: View<NetDeviceRow> = {
  schema: "kvmsec.netdevs/1",
  list: "netdevs",
  *read(kernel, _options, problem) {
    const budget = kernel.budget();
    const namespaces = new NetNamespaces(kernel);
    const devices = new NetDevices(kernel);
    for (const net of namespaces.all(budget, problem)) {
      const netns = namespaces.inum(net);
      for (const device of devices.all(net, budget, problem)) yield { ...device, netns };
    }
  },
  json: (row, kernel) => ({
    name: row.name,
    ifindex: row.ifindex,
    netns: row.netns ?? null,
    type: row.type,
    kind: row.kind ?? null,
    mac: row.mac ?? null,
    flags: row.flags,
    promiscuity: row.promiscuity,
    mtu: row.mtu,
    operstate: row.operstate,
    master: row.master ?? null,
    addresses: row.addresses.map((address) => ({
      ...address,
      peer: address.peer ?? null,
      broadcast: address.broadcast ?? null,
    })),
    traffic: row.traffic ?? null,
    xdp: row.xdp.map(({ program, name, ...xdp }) => ({
      ...xdp,
      name: name ?? null,
      program: kernel.format(program),
    })),
    device: kernel.format(row.device),
  }),
};
