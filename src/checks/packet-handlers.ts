import { NetNamespaces } from "../linux/net-namespace.ts";
import { DeviceNames } from "../linux/netdevice-names.ts";
import { PacketHandlers } from "../linux/packet-type.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Received packets go to no function but those of the kernel and the distribution's modules. */
export const packetHandlers: Check = {
  id: "packet-handlers",
  proves:
    "Each packet handler, of all devices or of one, and each device's receive handler is a function of the kernel or of a module of the distribution.",
  reads: "ptype_base, ptype_all and the lists of namespaces and devices; net_device.rx_handler",
  attack: ["T1014", "T1205"],
  limits: "A sniffer that is an ordinary packet socket is for the checks of sockets.",
  run(context) {
    const { kernel, facts } = context;
    const problem = (reason: string): void => context.unseen(reason);
    const budget = kernel.budget();
    const nets = new NetNamespaces(kernel).all(budget, problem);
    let looked = 0;
    tellOwnerProblems(context);
    for (const handler of new PacketHandlers(kernel).all(nets, budget, problem)) {
      looked++;
      const protocol = `0x${handler.protocol.toString(16).padStart(4, "0")}`;
      checkFunction(context, {
        what: `A handler of packets (${protocol})`,
        subject: {
          protocol,
          device: handler.device ?? null,
          target: facts.get(codeOwners).describe(handler.function),
        },
        target: handler.function,
        slot: handler.packetType,
        allowed: "distribution",
        module: "medium",
      });
    }
    const devices = new DeviceNames(kernel);
    for (const net of nets) {
      for (const device of devices.devices(net, budget, problem)) {
        looked += checkDevice(context, device, devices.nameOf(device) ?? "without a name");
      }
    }
    context.cover(looked);
  },
};

/** A bridge, bond or team takes all packets of a device before anyone else (rx_handler). */
function checkDevice(context: CheckContext, device: number, name: string): number {
  const target = context.kernel.readerOf("net_device", "rx_handler")?.(device) ?? 0;
  if (target === 0) return 0;
  checkFunction(context, {
    what: `The receive handler of ${name}`,
    subject: { device: name, rxHandler: true },
    target,
    slot: device,
    allowed: "distribution",
    module: "medium",
  });
  return 1;
}
