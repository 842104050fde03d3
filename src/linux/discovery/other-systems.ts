import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { scanRanges } from "./scan.ts";

/** Release of a banner: `Linux version 6.1.0-44-686 (…`. */
const BANNER = Buffer.from("Linux version ");
const RELEASE = /^Linux version (\d+\.\d+[\w.+~-]{0,60}) \(/;
const LONGEST = 96;
/** Names that every Windows kernel carries, as its strings are (UTF-16) and as its files' are. */
const WINDOWS = [Buffer.from("ntoskrnl.exe", "utf16le"), Buffer.from("ntkrnlmp.pdb")];

/**
 * What a memory without a kernel that can be read holds instead, as a hint for people. Anybody may
 * have put it there, so nothing else is made of it.
 */
export function tracesOfOthers(memory: PhysicalMemory): string | undefined {
  let linux: string | undefined;
  let windows = 0;
  scanRanges(memory, (chunk) => {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    windows += WINDOWS.filter((name) => bytes.includes(name)).length;
    linux ??= releaseIn(bytes);
  });
  if (linux !== undefined) {
    return `A banner of Linux ${linux} lies in it: that is a 32-bit kernel, which is not understood, or one that is only just booting.`;
  }
  if (windows > 0) return "It holds what Windows leaves in memory; only Linux is understood.";
  return undefined;
}

function releaseIn(bytes: Buffer): string | undefined {
  for (let at = bytes.indexOf(BANNER); at >= 0; at = bytes.indexOf(BANNER, at + 1)) {
    const release = RELEASE.exec(bytes.toString("latin1", at, at + LONGEST))?.[1];
    if (release !== undefined) return release;
  }
  return undefined;
}
