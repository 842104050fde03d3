import { mounts } from "../../views/mounts.ts";
import type { MountRow } from "../../views/mounts.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const columns: readonly Column<MountRow>[] = [
  { title: "MNTNS", value: (row) => row.mntns, align: "right" },
  { title: "PID", value: (row) => row.pid, align: "right" },
  { title: "ID", value: (row) => row.id, align: "right" },
  { title: "PARENT", value: (row) => row.parent, align: "right" },
  { title: "DEV", value: (row) => row.device, align: "right" },
  { title: "MOUNTPOINT", value: (row) => row.mountpoint, shrink: 16 },
  { title: "TYPE", value: (row) => row.fstype },
  { title: "SOURCE", value: (row) => row.source, shrink: 12 },
  { title: "ROOT", value: (row) => row.root, shrink: 8 },
  { title: "OPTIONS", value: (row) => row.options.join(","), shrink: 10 },
  { title: "PROPAGATION", value: (row) => row.propagation.join(" "), shrink: 10 },
];

/** `kvmsec mounts`: what is mounted where, in every mount namespace. */
export const define: CommandModule["define"] = (command, io) => {
  defineView(command, io, mounts, () => columns);
};
