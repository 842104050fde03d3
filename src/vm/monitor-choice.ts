import { basename, isAbsolute, join } from "node:path";
import type { QemuProcess } from "./qemu-process.ts";

/**
 * The monitor to ask, as seen from here: the first, but in a VM of ours the one for passers-by, since
 * the guard holds the other (home.ts names both). A relative path is one from QEMU's own working
 * folder: in ours it may be another guest's.
 */
export function monitorFor({
  pid,
  arguments: { qmpSockets },
}: Pick<QemuProcess, "pid"> & {
  readonly arguments: Pick<QemuProcess["arguments"], "qmpSockets">;
}): string | undefined {
  const path = qmpSockets.find((each) => basename(each) === "operator.qmp") ?? qmpSockets[0];
  return path === undefined || isAbsolute(path) ? path : join(`/proc/${pid}/cwd`, path);
}
