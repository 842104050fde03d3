import type { ControlGroup } from "../../linux/cgroup-tree.ts";
import { cgroups } from "../../views/cgroups.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const columns: readonly Column<ControlGroup>[] = [
  { title: "HIERARCHY", value: ({ hierarchy }) => hierarchy.name || "unified" },
  { title: "CGROUP", value: (row) => row.path, shrink: 16 },
  { title: "STATE", value: stateText },
  { title: "PROCS", value: (row) => row.pids.length, align: "right" },
  { title: "THREADS", value: (row) => row.threads, align: "right" },
  { title: "CONTROLLERS", value: (row) => row.controllers.join(","), shrink: 12 },
  { title: "PIDS", value: (row) => row.pids.join(","), shrink: 12 },
];

/** `kvmsec cgroups`: control groups and who is in them. */
export const define: CommandModule["define"] = (command, io) => {
  defineView<ControlGroup, ViewOptions>(command, io, cgroups, () => columns);
};

function stateText({ dying, frozen, threaded }: ControlGroup): string {
  if (dying) return "dying";
  if (frozen) return "frozen";
  return threaded ? "threaded" : "";
}
