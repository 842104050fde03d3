import { maps } from "../../views/maps.ts";
import type { MappingOptions, MappingRow } from "../../views/maps.ts";
import type { CommandModule } from "../command.ts";
import { addressText, sizeText } from "../output.ts";
import { pidOption } from "../pid-option.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const columns: readonly Column<MappingRow>[] = [
  { title: "PID", value: (row) => row.pid, align: "right" },
  { title: "COMM", value: (row) => row.comm },
  { title: "START", value: (row) => addressText(row.start), align: "right" },
  { title: "END", value: (row) => addressText(row.end), align: "right" },
  { title: "PERM", value: (row) => row.permissions },
  { title: "OFFSET", value: (row) => addressText(row.offset), align: "right" },
  { title: "DEV", value: (row) => row.device },
  { title: "INODE", value: (row) => row.inode, align: "right" },
  { title: "PATH", value: (row) => row.path, shrink: 16 },
];

const resident: Column<MappingRow> = {
  title: "RSS",
  value: (row) => sizeText(row.rss ?? Number.NaN),
  align: "right",
};

/** `kvmsec maps`: what the guest's processes have mapped. */
export const define: CommandModule["define"] = (command, io) => {
  command.addOption(pidOption()).option("--rss", "with how much of each mapping is in memory");
  defineView<MappingRow, ViewOptions & MappingOptions>(command, io, maps, (options) =>
    options.rss === true ? [...columns.slice(0, 5), resident, ...columns.slice(5)] : columns,
  );
};
