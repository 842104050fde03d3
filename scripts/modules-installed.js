// Leaves with 0 where node_modules is what package-lock.json asks for, else with 1.
// Plain JavaScript for old Nodes: it runs before the pinned one is there.
import { readFileSync } from "node:fs";

function read(path) {
  try {
    return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")).packages;
  } catch {
    return undefined;
  }
}

const wanted = read("../package-lock.json");
// npm writes it when all is in its place, so it is not there after an install that was cut short.
const installed = read("../node_modules/.package-lock.json");

const holds = (list, value) => list === undefined || list.includes(value);

function forThisMachine({ os, cpu, libc }) {
  // Without either it is a part of an optional package, and comes and goes with it.
  if (os === undefined && cpu === undefined) return false;
  return holds(os, process.platform) && holds(cpu, process.arch) && holds(libc, "glibc");
}

function asWanted(path) {
  if (path === "") return true;
  const entry = wanted[path];
  // npm leaves optional packages out for other processors and systems, and, without a word, also
  // those that want a newer Node than the one that npm runs on.
  if (installed[path] === undefined) return entry.optional === true && !forThisMachine(entry);
  return installed[path].integrity === entry.integrity;
}

process.exitCode = installed !== undefined && Object.keys(wanted).every(asWanted) ? 0 : 1;
