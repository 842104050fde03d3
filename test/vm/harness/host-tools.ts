import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { command, searchPath } from "./command.ts";
import { fileTypes, type CpioEntry } from "./cpio.ts";
import { needs } from "./needs.ts";

/** The distribution's own tools that every test guest has, as oracles. busybox fills the rest. */
export const standardTools: readonly string[] = [
  "sh bash ps pgrep top pmap sysctl lsmod insmod modprobe rmmod modinfo",
  "ip ss bridge findmnt lsns mount umount unshare nsenter setpriv lsof bpftool dmesg",
].flatMap((line) => line.split(" "));

/** Archive entries for these tools, their shared libraries and the links that lead to them. */
export async function toolEntries(tools: readonly string[]): Promise<CpioEntry[]> {
  const paths = ["busybox", ...tools].map(pathOf);
  const files = new Set([...paths, ...(await librariesOf(paths))]);
  const entries = new Map<string, CpioEntry>();
  const add = (entry: CpioEntry) => entries.set(entry.path, entry);
  for (const link of ["bin", "sbin", "lib", "lib64"]) add(symlink(link, `usr/${link}`));
  addDirectories(["usr/bin", "usr/sbin", "usr/lib", "usr/lib64"], add);
  for (const file of files) {
    const real = merged(realpathSync(file));
    addDirectories([dirname(real), dirname(merged(file))], add);
    add({ path: real, mode: fileTypes.file | 0o755, data: readFileSync(`/${real}`) });
    if (merged(file) !== real) add(symlink(merged(file), `/${real}`));
  }
  for (const applet of (await command("busybox", ["--list-full"])).trim().split("\n")) {
    const path = `usr/${applet.replace(/^usr\//, "")}`;
    const hidden = [...entries.keys()].some((there) =>
      there.endsWith(`/${path.split("/").at(-1)}`),
    );
    if (!hidden) add(symlink(path, "/usr/bin/busybox"));
  }
  return [...entries.values()];
}

/** The path without its leading slash, below /usr as on every merged system. */
function merged(path: string): string {
  return path.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/").slice(1);
}

export function symlink(path: string, target: string): CpioEntry {
  return { path, mode: fileTypes.link | 0o777, data: Buffer.from(target) };
}

export function addDirectories(paths: readonly string[], add: (entry: CpioEntry) => void): void {
  for (const path of paths) {
    const parts = path.split("/");
    for (let depth = 1; depth <= parts.length; depth++) {
      const directory = parts.slice(0, depth).join("/");
      if (directory !== "") add({ path: directory, mode: fileTypes.directory | 0o755 });
    }
  }
}

function pathOf(tool: string): string {
  const places = tool.startsWith("/")
    ? [tool]
    : searchPath()
        .split(":")
        .map((at) => join(at, tool));
  const found = places.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const need = needs.find((need) => need.path.endsWith(`/${tool}`));
  throw new Error(
    `${tool} is not on this machine${need ? `: apt-get install ${need.package}` : ""}`,
  );
}

/** What the dynamic loader would map for these programs; nothing for static ones. */
async function librariesOf(paths: readonly string[]): Promise<string[]> {
  const listed = await command("sh", ["-c", 'ldd -- "$@" 2>/dev/null || true', "sh", ...paths]);
  return [...listed.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, path]) => path);
}
