import { readFileSync } from "node:fs";
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
  const module = virtualizationModule(readFileSync("/proc/cpuinfo", "utf8"));
  if (module !== undefined) return warning(found, SLOW, asRoot(host, `modprobe ${module}`));
  const cause =
    "this processor shows no virtualization: it is off in the firmware, or this is a VM";
  return warning(found, `${cause}; ${SLOW}`);
}

/** The module that brings /dev/kvm on this processor, by its flags in /proc/cpuinfo. */
export function virtualizationModule(cpuinfo: string): "kvm_intel" | "kvm_amd" | undefined {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(" "));
  if (flags.has("vmx")) return "kvm_intel";
  return flags.has("svm") ? "kvm_amd" : undefined;
}

/** Distributions give /dev/kvm to the group kvm, and newer ones to everybody. */
function mendDenied(host: Host): string {
  const group = kvmGroup();
  if (group === undefined || group === 0) return asRoot(host, "chmod 0666 /dev/kvm");
  return `${asRoot(host, `usermod -aG kvm ${host.user}`)}, then log in again`;
}
