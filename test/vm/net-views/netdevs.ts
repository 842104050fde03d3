import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { netdevs } from "../../../src/views/netdevs.ts";
import type { Guest } from "../harness/guest.ts";
import { netnsOf, rowsOf, within } from "./guest.ts";

type DeviceJson = {
  name: string;
  ifindex: number;
  netns: number;
  type: string;
  kind: string | null;
  mac: string | null;
  flags: string[];
  promiscuity: number;
  mtu: number;
  operstate: string;
  master: string | null;
  addresses: {
    family: string;
    address: string;
    prefixLength: number;
    scope: string;
    peer: string | null;
    broadcast: string | null;
  }[];
  traffic: { rxPackets: number; rxBytes: number; txPackets: number; txBytes: number } | null;
  xdp: { mode: string; id: number; name: string; program: string }[];
};

/** What `ip -j -d -s addr` prints of a device. */
type IpDevice = {
  ifname: string;
  ifindex: number;
  link_type: string;
  linkinfo?: { info_kind?: string };
  address?: string;
  flags: string[];
  promiscuity: number;
  mtu: number;
  operstate: string;
  master?: string;
  addr_info: {
    family: string;
    local: string;
    address?: string;
    prefixlen: number;
    scope: string;
    broadcast?: string;
  }[];
  stats64: { rx: { packets: number; bytes: number }; tx: { packets: number; bytes: number } };
  xdp?: { mode: number; prog: { id: number } };
};

/** Devices of both namespaces, as `ip` shows them. */
export async function devicesAreThoseOfIp(guest: Guest, kernel: Kernel): Promise<void> {
  const found = rowsOf<unknown, object, DeviceJson>(kernel, netdevs, {});
  for (const name of [undefined, "blue"]) {
    const netns = await netnsOf(guest, name);
    const output = await guest.run(within(name, "ip -j -d -s addr"));
    const expected = (JSON.parse(output) as IpDevice[]).map((device) => fromIp(device, netns));
    assert.ok(expected.length >= 2);
    const rows = found.filter((row) => row.netns === netns);
    assert.deepEqual(
      rows.map(({ xdp: _xdp, traffic: _traffic, ...row }) => ({ ...row, device: undefined })),
      expected.map((row) => ({ ...row, device: undefined })),
    );
  }
}

function fromIp(device: IpDevice, netns: number): Omit<DeviceJson, "xdp" | "traffic"> {
  const flags = device.flags.filter((flag) => flag !== "PROMISC");
  return {
    name: device.ifname,
    ifindex: device.ifindex,
    netns,
    type: device.link_type,
    kind: device.linkinfo?.info_kind ?? null,
    mac: device.address ?? null,
    flags: device.promiscuity > 0 ? withPromiscuous(flags) : flags,
    promiscuity: device.promiscuity,
    mtu: device.mtu,
    operstate: device.operstate,
    master: device.master ?? null,
    addresses: device.addr_info.map((address) => ({
      family: address.family,
      address: address.local,
      prefixLength: address.prefixlen,
      scope: address.scope,
      peer: address.address ?? null,
      broadcast: address.broadcast ?? null,
    })),
  };
}

/** Where `ip` would print it: before the first of those that follow it. */
function withPromiscuous(flags: readonly string[]): string[] {
  const later = new Set(["MASTER", "SLAVE", "DEBUG", "DYNAMIC", "UP", "LOWER_UP"]);
  const at = flags.findIndex((flag) => later.has(flag));
  return at < 0 ? [...flags, "PROMISC"] : flags.toSpliced(at, 0, "PROMISC");
}

/** Traffic of devices that count in a way of the kernel's own. */
export async function trafficIsThatOfIp(guest: Guest, kernel: Kernel): Promise<void> {
  const output = await guest.run("ip -j -s link show lo");
  const [device] = JSON.parse(output) as IpDevice[];
  const netns = await netnsOf(guest);
  const rows = rowsOf<unknown, object, DeviceJson>(kernel, netdevs, {});
  const loop = rows.find((row) => row.netns === netns && row.name === "lo");
  assert.ok(device.stats64.rx.packets > 0);
  assert.deepEqual(loop?.traffic, {
    rxPackets: device.stats64.rx.packets,
    rxBytes: device.stats64.rx.bytes,
    txPackets: device.stats64.tx.packets,
    txBytes: device.stats64.tx.bytes,
  });
}

/** An XDP program is seen, with the id that `ip` knows. */
export async function xdpIsThatOfIp(guest: Guest, kernel: Kernel): Promise<void> {
  const [device] = JSON.parse(await guest.run("ip -j -d link show left")) as IpDevice[];
  const rows = rowsOf<unknown, object, DeviceJson>(kernel, netdevs, {});
  const [program, ...more] = rows.flatMap((row) => row.xdp);
  assert.deepEqual(more, []);
  const { mode, id, name } = program;
  assert.deepEqual([mode, id, name], ["generic", device.xdp?.prog.id, "zoo_pass"]);
  assert.ok(rows.some((row) => row.name === "left" && row.xdp.length === 1));
}
