import type { AddressSpace } from "../arch/x86/address-space.ts";
import { usageError } from "../base/errors.ts";
import { hex } from "../base/hex.ts";
import { namedPlace } from "../linux/kernel-address.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Copy } from "../linux/memory-reading.ts";
import { heldByGroup, selectProcesses } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { UserMemory } from "../linux/user-memory.ts";

/** Whose address it is; the kernel's unless told. */
export type PlaceOptions = { readonly physical?: boolean; readonly pid?: readonly number[] };

/** Where to read, and how. */
export type Place = {
  readonly address: number;
  /** Of the symbol that was named, 0 where nobody knows. */
  readonly size: number;
  readonly copy: Copy;
  format(address: number): string;
};

/**
 * Finds what `text` names. Throws KVMSEC_SYMBOL_MISSING, KVMSEC_ADDRESS_INVALID,
 * KVMSEC_NO_SUCH_PROCESS (usage).
 */
export function placeToRead(kernel: Kernel, text: string, options: PlaceOptions): Place {
  if (options.physical === true) return physicalPlace(kernel, text);
  const place = namedPlace(kernel, text);
  if (place.address !== place.address) {
    throw usageError("KVMSEC_ADDRESS_INVALID", `Nothing can be mapped at ${text} in this guest.`);
  }
  const space = options.pid === undefined ? kernel.space : userSpace(kernel, options.pid);
  return {
    ...place,
    copy: (address, target) => space.copy(address, target),
    format: (address) => kernel.format(address),
  };
}

function physicalPlace(kernel: Kernel, text: string): Place {
  if (!/^(0x[0-9a-f]{1,13}|\d{1,16})$/i.test(text)) {
    throw usageError(
      "KVMSEC_ADDRESS_INVALID",
      `"${text}" is no physical address.`,
      "Write 0x1000.",
    );
  }
  const { memory } = kernel;
  const copy: Copy = (address, target) => {
    let done = 0;
    while (done < target.length) {
      const length = Math.min(4096 - ((address + done) % 4096), target.length - done);
      const bytes = memory.bytes(address + done, length);
      if (bytes === undefined) break;
      target.set(bytes, done);
      done += length;
    }
    return done;
  };
  return { address: Number(text), size: 0, copy, format: hex };
}

function userSpace(kernel: Kernel, pids: readonly number[]): AddressSpace {
  const tasks = new Tasks(kernel);
  const budget = kernel.budget();
  const [leader] = selectProcesses(tasks, { pid: pids.slice(0, 1) }, budget);
  const mm = heldByGroup(tasks, leader, tasks.mm, budget);
  const space = mm === undefined ? undefined : new UserMemory(kernel).space(mm);
  if (space !== undefined) return space;
  throw usageError(
    "KVMSEC_NO_USER_MEMORY",
    `Process ${pids[0]} has no memory of its own.`,
    "Kernel threads and processes that have exited have none.",
  );
}
