import assert from "node:assert/strict";
import { DeviceNames } from "../../../src/linux/netdevice-names.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";

const IFF_PROMISC = 0x100;

/** A device that takes every packet and nobody asked, or that hides that it does. */
export function deviceTamperings({ kernel, editor }: HookPlace): HookTampering[] {
  const names = new DeviceNames(kernel);
  const devices = names.devices(kernel.requireSymbol("init_net"), kernel.budget(), assert.fail);
  const device = devices.find((each) => names.nameOf(each) === "lo");
  assert.ok(device !== undefined);
  const flags = kernel.reader("net_device", "flags")(device);
  const set = (member: string, value: number): (() => void) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return editor.write(device + kernel.offset("net_device", member), bytes);
  };
  return [
    {
      title: "a device that takes every packet without a cause",
      check: "promiscuous",
      tamper: () => together(set("promiscuity", 1), set("flags", flags | IFF_PROMISC)),
      says: /Device lo takes every packet 1 times over, and only 0 of that is explained/,
    },
    {
      title: "a device that takes every packet and does not show it",
      check: "promiscuous",
      tamper: () => set("promiscuity", 1),
      says: /Device lo takes every packet and hides it/,
    },
  ];
}
