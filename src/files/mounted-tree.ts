import { MountNamespaces } from "../linux/mount-namespace.ts";
import { Mounts } from "../linux/mount.ts";
import type { Kernel } from "../linux/kernel.ts";
import { uuidText } from "../formats/disk/file-system.ts";
import type { FileSystem } from "../formats/disk/file-system.ts";
import type { Volume } from "./volumes.ts";

/**
 * Where the guest itself has mounted the file systems that could be read, in the namespace of its
 * first process: they are recognised by their UUID (`super_block.s_uuid`). Bind mounts are left out.
 */
export function mountedFileSystems(
  kernel: Kernel,
  volumes: readonly Volume[],
  problem: (reason: string) => void,
): Map<string, FileSystem> {
  const readable = new Map(
    volumes.flatMap(({ fileSystem }) =>
      fileSystem === undefined ? [] : [[fileSystem.uuid, fileSystem] as const],
    ),
  );
  const budget = kernel.budget();
  const namespaces = new MountNamespaces(kernel);
  const [first] = namespaces.all(budget, problem);
  const found = new Map<string, FileSystem>();
  if (first === undefined) return found;
  const mounts = namespaces.mounts(first.address, budget, problem);
  const uuid = kernel.offset("super_block", "s_uuid");
  for (const mount of new Mounts(kernel).decodeAll(mounts, budget, problem)) {
    const bytes = kernel.space.bytes(mount.superBlock + uuid, 16);
    const fileSystem = bytes && readable.get(uuidText(bytes));
    const path = mount.mountpoint === "/" ? "" : mount.mountpoint;
    // What is mounted over another is seen instead of it, and comes later.
    if (mount.root === "/" && fileSystem !== undefined) found.set(path, fileSystem);
    else if (!mount.covered) found.delete(path);
  }
  return found;
}
