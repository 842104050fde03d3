import { MountNamespaces } from "../linux/mount-namespace.ts";
import { Mounts } from "../linux/mount.ts";
import type { Mount } from "../linux/mount.ts";
import type { OverlayLayers } from "../linux/overlay.ts";
import type { View } from "./view.ts";

/** A mount with the namespace that it is in, and the lowest process id there. */
export type MountRow = Mount & { readonly mntns: number; readonly pid: number | undefined };

/** The guest's mounts in all its mount namespaces. */
export const mounts: View<MountRow> = {
  schema: "kvmsec.mounts/1",
  list: "mounts",
  *read(kernel, _options, problem) {
    const budget = kernel.budget();
    const namespaces = new MountNamespaces(kernel);
    const decoder = new Mounts(kernel);
    for (const { address, inum, pid } of namespaces.all(budget, problem)) {
      const found = namespaces.mounts(address, budget, problem);
      for (const mount of decoder.decodeAll(found, budget, problem))
        yield { ...mount, mntns: inum, pid };
    }
  },
  json: ({ mount, superBlock, mntns, pid, overlay, ...row }, kernel) => ({
    mntns,
    pid: pid ?? null,
    ...row,
    ...(row.fstype === "overlay" ? { overlay: layers(overlay) } : {}),
    superBlock: kernel.format(superBlock),
    mount: kernel.format(mount),
  }),
};

function layers(overlay: OverlayLayers | undefined): object | null {
  if (overlay === undefined) return null;
  return { ...overlay, upper: overlay.upper ?? null, work: overlay.work ?? null };
}
