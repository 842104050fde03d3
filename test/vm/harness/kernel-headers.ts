import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, lockFile } from "./cache.ts";
import { command } from "./command.ts";
import { privateApt, unpackPackages } from "./debian-archive.ts";
import type { Kernel } from "./debian-kernel.ts";

/**
 * The folder that modules of a kernel are built against: the distribution's own headers and build
 * tools, unpacked into the cache and installed nowhere. The tools are the release's: they run on a
 * host whose C library is as new.
 */
export async function kernelHeaders(kernel: Kernel): Promise<string> {
  if (kernel.release === undefined) throw new Error(`no headers of ${kernel.version} are known`);
  const home = cacheDirectory("headers", kernel.version);
  const folder = join(home, "root/usr/src", `linux-headers-${kernel.version}`);
  await using lock = await lockFile(join(home, "lock"));
  if (lock === undefined) throw new Error(`cannot lock ${home}`);
  if (existsSync(folder)) return folder;
  const apt = await privateApt(kernel.release, join(home, "apt"));
  const fresh = join(home, "fresh");
  await unpackPackages(apt, await headerPackages(apt, kernel.version), fresh);
  relocate(join(fresh, "usr/src", `linux-headers-${kernel.version}`, "Makefile"));
  renameSync(fresh, join(home, "root"));
  rmSync(join(home, "apt"), { recursive: true, force: true });
  return folder;
}

/** The headers of one flavour, those that all flavours share, and the programs of the build. */
async function headerPackages(apt: readonly string[], version: string): Promise<string[]> {
  const wanted = `linux-headers-${version}`;
  const record = await command("apt-cache", [...apt, "show", "--no-all-versions", wanted]);
  const depends = /^Depends: (.*)$/m.exec(record)?.[1] ?? "";
  const others = depends.matchAll(/(?:^|, )(linux-(?:headers|kbuild)-[^ ,]*)/g);
  return [wanted, ...Array.from(others, ([, name]) => name)];
}

/** Debian's Makefile includes the common one by its installed path. */
function relocate(makefile: string): void {
  const here = "$(dir $(lastword $(MAKEFILE_LIST)))..";
  writeFileSync(makefile, readFileSync(makefile, "utf8").replace("/usr/src", here));
}
