import { KvmsecError } from "../base/errors.ts";
import { listVms } from "../vm/guest-vm.ts";
import type { Damage, Home } from "../vm/home.ts";
import { findImage } from "../vm/images.ts";
import { isRunning, processIdentity, runName } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { findTarget } from "../vm/target.ts";
import type { Config } from "./config.ts";

/** One run of a guest that is to be guarded. */
export type GuardedGuest = {
  /** The VM's name, or the target as the configuration has it. */
  readonly name: string;
  /** Names this run of it: pid and start time, and the host's boot. */
  readonly run: string;
  readonly identity: ProcessIdentity;
  readonly vm: string | undefined;
  readonly kernelFile: string | undefined;
  /** The monitor that is the guard's own. */
  readonly monitor: string | undefined;
  /** What its QEMU says. */
  readonly log: string | undefined;
};

/** The guests that run now. What cannot be found is no guest yet; `problem` is told what is wrong. */
export function guestsNow(
  home: Home,
  config: Pick<Config, "vms" | "targets">,
  problem: Damage,
): GuardedGuest[] {
  const found = new Map<string, GuardedGuest>();
  for (const guest of config.vms ? ownGuests(home, problem) : []) found.set(guest.run, guest);
  for (const target of config.targets) {
    const guest = otherGuest(target, problem);
    if (guest !== undefined && !found.has(guest.run)) found.set(guest.run, guest);
  }
  return [...found.values()];
}

function ownGuests(home: Home, problem: Damage): GuardedGuest[] {
  return listVms(home, problem).flatMap(({ name, run, config, sockets, log }) => {
    if (run === undefined) return [];
    const kernelFile = kernelOf(home, config.image, (error) => problem(name, error));
    return [{ name, ...named(run), vm: name, kernelFile, monitor: sockets.monitor, log }];
  });
}

/** The guest is there and to be guarded, whatever became of its image. */
function kernelOf(
  home: Home,
  image: string,
  problem: (error: KvmsecError) => void,
): string | undefined {
  try {
    return findImage(home, image)?.vmlinuz;
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    problem(error);
    return undefined;
  }
}

function otherGuest(text: string, problem: Damage): GuardedGuest | undefined {
  try {
    const target = findTarget(text);
    if (target.kind === "file") return undefined;
    const identity = processIdentity(target.qemu.pid);
    if (identity === undefined) return undefined;
    const nothing = { vm: undefined, kernelFile: undefined, monitor: undefined, log: undefined };
    return { name: text, ...named(identity), ...nothing };
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    problem(text, error);
    return undefined;
  }
}

function named({ pid, startTime, bootId }: ProcessIdentity) {
  const identity = { pid, startTime, bootId };
  return { identity, run: runName(identity) };
}

/** Whether that very run still runs. */
export function stillRuns({ identity }: GuardedGuest): boolean {
  return isRunning(identity);
}
