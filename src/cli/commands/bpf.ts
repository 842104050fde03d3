import { Option } from "commander";
import type { BpfLinkTarget } from "../../linux/bpf-link-target.ts";
import { bpf } from "../../views/bpf.ts";
import type { BpfRow, BpfSelection } from "../../views/bpf.ts";
import type { CommandModule } from "../command.ts";
import { timeText } from "../output.ts";
import { processNames } from "../process-names.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const columns: readonly Column<BpfRow>[] = [
  { title: "KIND", value: (row) => row.kind },
  { title: "ID", value: (row) => row.id, align: "right" },
  { title: "TYPE", value: (row) => row.type },
  { title: "NAME", value: (row) => (row.kind === "link" ? row.attachType : row.name) },
  { title: "UID", value: (row) => (row.kind === "program" ? row.uid : undefined), align: "right" },
  {
    title: "LOADED",
    value: (row) => (row.kind === "program" ? timeText(row.loadedAt) : undefined),
  },
  { title: "PID/NAME", value: (row) => processNames(row.processes) },
  { title: "DETAILS", value: details, shrink: 20 },
];

function details(row: BpfRow): string {
  switch (row.kind) {
    case "program": {
      const maps = row.maps.length === 0 ? "" : `maps ${row.maps.join(",")}`;
      const code = row.jited === undefined ? "interpreted" : `${row.jited.size} bytes of code`;
      const attached = row.attachFunction === undefined ? "" : `for ${row.attachFunction}`;
      return [row.tag, code, maps, attached].filter((part) => part !== "").join("  ");
    }
    case "map":
      return `key ${row.keySize} B  value ${row.valueSize} B  ${row.maxEntries} entries${row.frozen ? "  frozen" : ""}`;
    case "link":
      return `program ${row.program ?? "-"}  ${targetText(row.target)}`.trimEnd();
    default:
      return "";
  }
}

function targetText(target: BpfLinkTarget): string {
  const { functions, count, cgroup, device, netns, netfilter, map } = target;
  const more = count !== undefined && count > (functions?.length ?? 0) ? ` of ${count}` : "";
  return [
    functions === undefined ? "" : `${functions.join(",")}${more}`,
    target.tracepoint ?? target.event ?? "",
    target.iterator === undefined ? "" : `iterates ${target.iterator}`,
    target.file ?? "",
    cgroup === undefined ? "" : `cgroup ${cgroup.path ?? cgroup.id}`,
    device === undefined ? "" : `device ${device.name ?? device.index}`,
    netns === undefined ? "" : `net:[${netns}]`,
    netfilter === undefined
      ? ""
      : `family ${netfilter.family} hook ${netfilter.hook} priority ${netfilter.priority}`,
    map === undefined ? "" : `map ${map}`,
  ]
    .filter((part) => part !== "")
    .join("  ");
}

/** `kvmsec bpf`: programs, maps and links. */
export const define: CommandModule["define"] = (command, io) => {
  command.addOption(
    new Option("--kind <kind...>", "only these").choices(["program", "map", "link"]),
  );
  defineView<BpfRow, ViewOptions & BpfSelection>(command, io, bpf, () => columns);
};
