import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, lockFile } from "./cache.ts";
import { command } from "./command.ts";
import { privateApt, unpackPackages } from "./debian-archive.ts";

/** Debian's memory tester, which runs without any system. */
export async function memtest(): Promise<string> {
  const root = await unpacked("memtest86+", "amd64", async () => ["memtest86+"]);
  return join(root, "boot/memtest86+x64.bin");
}

/** A 32-bit kernel of Debian 12. */
export async function kernel32(): Promise<string> {
  const root = await unpacked("linux-image-686", "i386", async (apt) => {
    const record = await command("apt-cache", [...apt, "show", "linux-image-686:i386"]);
    const wanted = /linux-image-\d\S*-686/.exec(/^Depends: (.*)$/m.exec(record)?.[1] ?? "")?.[0];
    if (wanted === undefined) throw new Error("linux-image-686 names no kernel");
    return [wanted];
  });
  const boot = join(root, "boot");
  const name = readdirSync(boot).find((each) => each.startsWith("vmlinuz-"));
  return join(boot, name ?? "vmlinuz");
}

/** Packages of Debian 12, unpacked into the cache. */
async function unpacked(
  name: string,
  architecture: string,
  packages: (apt: string[]) => Promise<string[]>,
): Promise<string> {
  const home = cacheDirectory("systems", name);
  const root = join(home, "root");
  if (existsSync(root)) return root;
  await using lock = await lockFile(join(home, "lock"));
  if (lock === undefined) throw new Error(`cannot lock ${home}`);
  if (existsSync(root)) return root;
  const apt = await privateApt("bookworm", join(home, "apt"), architecture);
  const fresh = join(home, "fresh");
  await unpackPackages(apt, await packages(apt), fresh);
  renameSync(fresh, root);
  rmSync(join(home, "apt"), { recursive: true, force: true });
  return root;
}
