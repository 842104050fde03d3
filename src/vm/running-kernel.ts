import { KvmsecError } from "../base/errors.ts";
import { isBooting } from "../linux/boot-stage.ts";
import type { Guest } from "./guest.ts";
import { readProcessorRoots } from "./processors.ts";

/**
 * For whoever has found something: asks whether any processor of the running guest runs on page
 * tables that have the kernel where it was understood. A guest that was reset leaves its kernel's
 * image and lists in memory for a while, as they were, and its firmware and loader write into the
 * rest: what is found then is no tampering. Where no processor can be asked, nothing is said.
 * Throws KVMSEC_KERNEL_GONE, KVMSEC_GUEST_BOOTING.
 */
async function requireRunning(guest: Guest): Promise<void> {
  if (guest.target.kind === "file") return;
  requireBooted(guest);
  const roots = await readProcessorRoots(guest);
  if (roots.length === 0) return;
  const { space, image } = guest.kernel;
  const here = space.physical(image.virtual);
  if (roots.some((root) => guest.kernel.userSpace(root).physical(image.virtual) === here)) return;
  throw new KvmsecError(
    "KVMSEC_KERNEL_GONE",
    `No processor of ${guest.target.text} runs the kernel that was understood: the guest boots.`,
    { hint: "Look again once it has booted." },
  );
}

/**
 * What a look at the kernel finds, if it had booted before the look and still runs after it.
 * Throws KVMSEC_GUEST_BOOTING, KVMSEC_KERNEL_GONE, KVMSEC_TARGET_GONE.
 */
export async function onRunningKernel<Seen extends { readonly findings: readonly unknown[] }>(
  guest: Guest,
  look: () => Seen,
): Promise<Seen> {
  requireBooted(guest);
  const seen = look();
  guest.requireAlive();
  if (seen.findings.length > 0) await requireRunning(guest);
  return seen;
}

/** Throws KVMSEC_GUEST_BOOTING where its kernel is not yet what it will be. */
export function requireBooted({ kernel, target }: Guest): void {
  if (!isBooting(kernel)) return;
  throw new KvmsecError("KVMSEC_GUEST_BOOTING", `The kernel of ${target.text} still boots.`, {
    hint: "Look again once it has booted.",
  });
}
