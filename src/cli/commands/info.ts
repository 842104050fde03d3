import { infoDocument, readInfo } from "../../views/info.ts";
import type { Info } from "../../views/info.ts";
import { exitStatus } from "../../base/errors.ts";
import type { CommandModule } from "../command.ts";
import { sizeText, write, writeDocument } from "../output.ts";
import { printable } from "../text.ts";
import { attachWith, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

/** `kvmsec info`: which kernel a guest runs, and how it was found. */
export const define: CommandModule["define"] = (command, io) => {
  targetArgument(command)
    .option("--json", "one JSON document")
    .action(async (target: string, options: ViewOptions) => {
      using guest = await attachWith(target, options);
      if (options.json === true) {
        await writeDocument(io, "kvmsec.info/1", { target, ...infoDocument(guest.kernel) });
      } else {
        const lines = describe(readInfo(guest.kernel));
        await write(io.stdout, `${lines.join("\n")}\n`);
        for (const warning of guest.kernel.warnings) {
          io.stderr.write(`kvmsec: ${printable(warning)}\n`);
        }
      }
      io.exit(exitStatus.clean);
    });
};

function describe(info: Info): string[] {
  const { image, paging, memory } = info;
  const rows: readonly (readonly [string, string])[] = [
    ["kernel", info.release],
    ["banner", info.banner],
    ["build id", info.buildId ?? "none"],
    ["host name", info.hostname ?? "?"],
    ["booted", info.bootTime?.toISOString() ?? "?"],
    ["processors", info.cpus === info.cpus ? String(info.cpus) : "?"],
    ["memory", `${sizeText(memory.size)} (${memory.kind})`],
    ["paging", `${paging.levels} levels, ${isolationText(paging.kpti)}, root ${paging.root}`],
    ["image", `${image.virtual} at physical ${image.physical}, ${sizeText(image.size)}`],
    [
      "KASLR",
      `virtual +${sizeText(image.virtualSlide)}, physical +${sizeText(image.physicalSlide)}`,
    ],
    ["symbols", `${info.symbols}, types from ${info.types}`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(11)} ${printable(value)}`);
}

function isolationText(kpti: boolean | undefined): string {
  if (kpti === undefined) return "isolated or not: unknown";
  return kpti ? "isolated (KPTI)" : "not isolated";
}
