import { statSync } from "node:fs";
import { kvmGroup, probeAccelerator } from "../accelerator.ts";
import { asRoot, ok, warning } from "./check.ts";
import type { Finding, Host, Probe } from "./check.ts";

const SLOW = "guests run under TCG, in software: about ten times slower, otherwise the same";

/** Whether guests get hardware virtualization. */
export const accelerator: Probe = { id: "accelerator", title: "accelerator", look };

async function look(host: Host): Promise<Finding> {
  const { kvm, reason } = await probeAccelerator(host.qemu);
  if (kvm === "works") return ok(`KVM: ${reason}`);
  const found = `TCG: ${reason}`;
  if (kvm === "broken") return warning(found, SLOW);
  if (kvm === "denied") return warning(found, SLOW, mendDenied(host));
  if (process.arch !== "x64") return warning(found, SLOW);
  const module = "modprobe -a kvm kvm_intel || modprobe -a kvm kvm_amd";
  return warning(found, SLOW, asRoot(host, `sh -c '${module}'`));
}

function mendDenied(host: Host): string {
  const group = kvmGroup();
  if (group === undefined) return asRoot(host, `setfacl -m u:${host.user}:rw /dev/kvm`);
  const name = group === statSync("/dev/kvm").uid ? "root" : "kvm";
  if (name === "root") return asRoot(host, `setfacl -m u:${host.user}:rw /dev/kvm`);
  return `${asRoot(host, `usermod -aG kvm ${host.user}`)}, then log in again`;
}
