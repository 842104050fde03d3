import type { GuestPhysical } from "../../base/address.ts";
import type { KvmsecError } from "../../base/errors.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { GuestClock } from "../clock.ts";
import { Kernel } from "../kernel.ts";
import type { KernelImage } from "./kernel-image.ts";
import { pagingLevels } from "./page-table-root.ts";

/** An idle kernel's clock is some seconds behind. One that is set wrong only costs a search. */
const MAX_LAG_MS = 20_000;

/** Images that the processors use come first: whoever owns the guest can plant any number of others. */
export function byLikelihood(
  memory: PhysicalMemory,
  images: readonly KernelImage[],
  roots: readonly GuestPhysical[] = [],
): KernelImage[] {
  const leads = (image: KernelImage): boolean =>
    roots.some((root) => pagingLevels(memory, root, image) !== undefined);
  return [...images.filter(leads), ...images.filter((image) => !leads(image))];
}

/**
 * Whether a kernel runs now, as far as can be told without a search: what ran before a reboot or a
 * kexec may lie in memory unharmed, and the kernel that runs may be one that nobody has seen yet.
 */
export function isCurrent(kernel: Kernel, roots: readonly GuestPhysical[] = []): boolean {
  if (roots.length > 0) return isRunning(kernel, roots);
  return !kernel.memory.live || Math.abs(guestTime(kernel) - Date.now()) < MAX_LAG_MS;
}

/**
 * More than one consistent kernel: a nested guest's, one left over by a reboot or kexec, or a
 * forgery. The processors know; without them the one with the latest clock is taken, and the doubt
 * reported.
 */
export function choose(
  kernels: readonly Kernel[],
  roots: readonly GuestPhysical[] = [],
  failures: readonly KvmsecError[] = [],
): Kernel {
  const running = kernels.filter((kernel) => isRunning(kernel, roots));
  const [latest] = kernels.toSorted((a, b) => (guestTime(b) || 0) - (guestTime(a) || 0));
  const chosen = running[0] ?? latest;
  if (running.length === 1 || (kernels.length === 1 && failures.length === 0)) return chosen;
  const [failure] = failures;
  // The processors run another one than those that were understood.
  if (failure !== undefined && roots.length > 0 && running.length === 0) throw failure;
  const places = kernels.map((kernel) => `0x${kernel.image.physical.toString(16)}`).join(", ");
  const shown = `0x${chosen.image.physical.toString(16)}`;
  const several = `${kernels.length} kernels lie in this memory, at physical ${places}; the one at ${shown} is shown`;
  const another = `another kernel lies in this memory that was not understood: ${failure?.message}`;
  return new Kernel({
    ...chosen,
    warnings: [
      ...(kernels.length > 1 ? [several] : []),
      ...(failure === undefined ? [] : [another]),
    ],
  });
}

/** The time of day that a kernel wrote down last, in milliseconds since 1970; NaN where unread. */
function guestTime(kernel: Kernel): number {
  return new GuestClock(kernel).written;
}

function isRunning(kernel: Kernel, roots: readonly GuestPhysical[]): boolean {
  return roots.some(
    (root) => kernel.userSpace(root).physical(kernel.image.virtual) === kernel.image.physical,
  );
}
