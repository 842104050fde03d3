import { exitStatus, usageError } from "../../base/errors.ts";
import { dumpType } from "../../formats/btf-dump.ts";
import { printType } from "../../formats/btf-print.ts";
import { Btf } from "../../formats/btf.ts";
import type { TypeSource } from "../../formats/btf.ts";
import { ModuleTypes } from "../../linux/module-types.ts";
import type { Kernel } from "../../linux/kernel.ts";
import type { Types } from "../../linux/types.ts";
import { findTypes, kindWord, namedTypes, typeJson } from "../../views/types.ts";
import type { CommandModule } from "../command.ts";
import { write, writeDocument } from "../output.ts";
import { numberOption } from "../number-option.ts";
import { printableLines } from "../text.ts";
import { attachWith, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & {
  readonly offsets?: boolean;
  readonly depth?: number;
  readonly raw?: boolean;
  readonly module?: string;
};

/** `kvmsec types`: definitions in C, as pahole or bpftool show them. */
export const define: CommandModule["define"] = (command, io) => {
  targetArgument(command)
    .argument("[names...]", "type names: task_struct, 'struct task_struct'; all names without any")
    .option("--offsets", "with offsets, sizes and holes, as pahole does")
    .addOption(numberOption("--depth <levels>", "show so many levels of members' types in place"))
    .option("--raw", "the BTF records, as bpftool btf dump does")
    .option("--module <name>", "with the types of that module")
    .option("--json", "one JSON document")
    .action(async (target: string, names: readonly string[], options: Options) => {
      using guest = await attachWith(target, options);
      const { source } = typesOf(guest.kernel, options.module);
      const ids = names.length === 0 ? listedTypes(source, options) : findTypes(source, names);
      if (options.json === true) {
        const rows = ids.map((id) => typeJson(source, id, names.length > 0));
        await writeDocument(io, "kvmsec.types/1", { ...documentHead(guest), types: rows });
      } else {
        const text = options.raw === true ? recorded : names.length === 0 ? listed : declared;
        for (const id of ids) {
          await write(io.stdout, `${printableLines(text(source, id, options))}\n`);
        }
      }
      io.exit(exitStatus.clean);
    });
};

function typesOf(kernel: Kernel, module: string | undefined): Types {
  if (module === undefined) return kernel.types;
  const types = new ModuleTypes(kernel).of(module);
  if (typeof types !== "string") return types;
  throw usageError("KVMSEC_TYPES_NOT_FOUND", `The types of ${module} cannot be had: ${types}.`);
}

/** Raw, every record counts; else what has a name. */
function listedTypes(source: TypeSource, { raw }: Options): number[] {
  const btf = btfOf(source);
  if (raw !== true) return namedTypes(btf);
  return Array.from({ length: btf.typeCount - btf.firstId }, (_, index) => btf.firstId + index);
}

function btfOf(source: TypeSource): Btf {
  if (source instanceof Btf) return source;
  throw usageError(
    "KVMSEC_TYPES_NOT_BTF",
    "Only BTF can be listed or shown raw, and the types that were given are none.",
    "Name the types that you want to see.",
  );
}

function listed(source: TypeSource, id: number): string {
  return `${kindWord(source, id)} ${source.name(id)}`;
}

function recorded(source: TypeSource, id: number): string {
  return dumpType(btfOf(source), id);
}

function declared(source: TypeSource, id: number, { offsets, depth }: Options): string {
  return printType(source, id, {
    ...(offsets === undefined ? {} : { offsets }),
    ...(depth === undefined ? {} : { depth }),
  });
}
