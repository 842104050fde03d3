import type { ProcessSelection } from "../../linux/process-selection.ts";
import { files } from "../../views/files.ts";
import type { FileRow } from "../../views/files.ts";
import type { CommandModule } from "../command.ts";
import { pidOption } from "../pid-option.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const columns: readonly Column<FileRow>[] = [
  { title: "PID", value: (row) => row.pid, align: "right" },
  { title: "COMM", value: (row) => row.comm },
  { title: "FD", value: (row) => row.fd, align: "right" },
  { title: "MODE", value: (row) => row.access },
  { title: "TYPE", value: (row) => row.type },
  { title: "DEV", value: (row) => row.device },
  { title: "INODE", value: (row) => row.inode, align: "right" },
  { title: "POSITION", value: (row) => row.position, align: "right" },
  { title: "PATH", value: (row) => row.path, shrink: 16 },
];

/** `kvmsec files`: the files that the guest's processes have open. */
export const define: CommandModule["define"] = (command, io) => {
  command.addOption(pidOption());
  defineView<FileRow, ViewOptions & ProcessSelection>(command, io, files, () => columns);
};
