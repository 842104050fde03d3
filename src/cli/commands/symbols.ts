import type { KernelSymbol } from "../../linux/symbol-search.ts";
import { symbols } from "../../views/symbols.ts";
import type { SymbolSelection } from "../../views/symbols.ts";
import type { CommandModule } from "../command.ts";
import { addressText } from "../output.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const columns: readonly Column<KernelSymbol>[] = [
  { title: "ADDRESS", value: (row) => addressText(row.address).padStart(16, "0") },
  { title: "TYPE", value: (row) => row.type },
  {
    title: "NAME",
    value: (row) => (row.offset === 0 ? row.name : `${row.name}+0x${row.offset.toString(16)}`),
    shrink: 16,
  },
  { title: "MODULE", value: (row) => row.module },
];

/** `kvmsec symbols`: name ↔ address. */
export const define: CommandModule["define"] = (command, io) => {
  command.option("--modules", "list those of modules, BPF, ftrace and kprobes too");
  defineView<KernelSymbol, ViewOptions & SymbolSelection>(command, io, symbols, () => columns);
  command.argument("[names...]", "names, addresses (0x…), or patterns with * and ?");
};
