import type { Module } from "../../linux/module.ts";
import { modules } from "../../views/modules.ts";
import type { CommandModule } from "../command.ts";
import { addressText } from "../output.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & { readonly wide?: boolean };

const columns: readonly Column<Module>[] = [
  { title: "ADDRESS", value: (row) => addressText(row.base), align: "right" },
  { title: "NAME", value: (row) => row.name },
  { title: "SIZE", value: (row) => row.size, align: "right" },
  { title: "REFS", value: (row) => row.refcount, align: "right" },
  { title: "STATE", value: (row) => row.state },
  { title: "TAINTS", value: (row) => row.taints },
  { title: "USED BY", value: (row) => row.usedBy.join(","), shrink: 12 },
];

const wide: readonly Column<Module>[] = [
  { title: "VERSION", value: (row) => row.version },
  { title: "SRCVERSION", value: (row) => row.srcversion },
  { title: "BUILD ID", value: (row) => row.buildId },
  { title: "PARAMETERS", value: parametersText, shrink: 12 },
];

function parametersText({ parameters }: Module): string {
  return parameters.map(({ name, value }) => `${name}=${value ?? "?"}`).join(" ");
}

/** `kvmsec modules`: the guest's loaded modules. */
export const define: CommandModule["define"] = (command, io) => {
  command.option("--wide", "with versions, build ids and parameters");
  defineView<Module, Options>(command, io, modules, (options) =>
    options.wide === true ? [...columns, ...wide] : columns,
  );
};
