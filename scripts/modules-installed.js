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

function asWanted(path) {
  if (path === "") return true;
  // Optional ones are there for one processor and system only.
  if (installed[path] === undefined) return wanted[path].optional === true;
  return installed[path].integrity === wanted[path].integrity;
}

process.exitCode = installed !== undefined && Object.keys(wanted).every(asWanted) ? 0 : 1;
