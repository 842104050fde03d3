import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { homePath } from "../home.ts";
import { freeDisk, hostMemory } from "../host-room.ts";
import { missing, ok, warning } from "./check.ts";
import type { Finding, Probe } from "./check.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

type Need = {
  /** Below this nothing goes. */
  readonly least: number;
  /** Below this it gets tight. */
  readonly comfortable: number;
  readonly where: string;
  readonly meaning: string;
  readonly mend: string;
};

/** Compares what is free with what is needed. */
export function judgeRoom(free: number, need: Need): Finding {
  const found = `${text(free)} free ${need.where}`;
  if (free < need.least)
    return missing(found, `${need.meaning} needs ${text(need.least)}`, need.mend);
  if (free >= need.comfortable) return ok(found);
  return warning(found, `${need.meaning} is tight below ${text(need.comfortable)}`, need.mend);
}

function text(bytes: number): string {
  return bytes < 10 * GIB ? `${Math.floor(bytes / MIB)} MiB` : `${Math.floor(bytes / GIB)} GiB`;
}

/** Where images and guests live. */
export const disk: Probe = {
  id: "disk",
  title: "disk",
  essential: true,
  look(host) {
    const home = homePath(host.environment);
    return judgeRoom(freeAt(home), {
      least: 3 * GIB,
      comfortable: 10 * GIB,
      where: `for ${home}`,
      meaning: "an image, a guest and what is captured of it",
      mend: "make room there, or set KVMSEC_HOME to a folder on a larger disk",
    });
  },
};

/** Bytes that this user may write where `path` is, or will be. */
function freeAt(path: string): number {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return freeDisk(folder);
}

/** For the demo's guest and the monitor. */
export const memory: Probe = {
  id: "memory",
  title: "memory",
  essential: true,
  look() {
    return judgeRoom(hostMemory().available, {
      least: 768 * MIB,
      comfortable: 2 * GIB,
      where: "in memory",
      meaning: "a guest of 512 MiB beside the monitor",
      mend: "end something that uses memory",
    });
  },
};

/** Where a guest's RAM lives when it is a file. */
export const sharedMemory: Probe = {
  id: "shared-memory",
  title: "/dev/shm",
  look() {
    if (!existsSync("/dev/shm")) {
      return warning("there is none", "captured guests are revived from disk, which is slower");
    }
    return judgeRoom(freeAt("/dev/shm"), {
      least: 0,
      comfortable: GIB,
      where: "in /dev/shm",
      meaning: "a guest whose RAM is a file",
      mend: "mount -o remount,size=50% /dev/shm",
    });
  },
};

export const roomProbes: readonly Probe[] = [disk, memory, sharedMemory];
