import { Argument } from "commander";
import { usageError } from "../../base/errors.ts";
import { packetSummary } from "../../vm/packet-files.ts";
import type { PacketSummary } from "../../vm/packet-files.ts";
import { dropPackets, keepPackets } from "../../vm/packet-switch.ts";
import { openHome } from "../../vm/home.ts";
import { parseSize } from "../../vm/size.ts";
import { findRun, openConfig, vmPaths } from "../../vm/vm-state.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { sizeText, write, writeDocument } from "../output.ts";
import { printable } from "../text.ts";

type Options = { readonly keep?: number; readonly json?: boolean };

/** `kvmsec packets`: whether a VM's packets are kept. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .argument("<vm>", "the VM's name")
    .addArgument(
      new Argument("[switch]", "on: from now on, over its restarts too; off").choices([
        "on",
        "off",
      ]),
    )
    .option("--keep <size>", "on: the last so much of them is kept (default: 64M)", parseSize)
    .option("--json", "one JSON document")
    .action(async (name: string, wanted: "on" | "off" | undefined, options: Options) => {
      const home = openHome();
      if (wanted !== "on" && options.keep !== undefined) {
        throw usageError(
          "KVMSEC_USAGE",
          "--keep goes with on.",
          `kvmsec packets ${name} on --keep 64M`,
        );
      }
      if (wanted === "on") await keepPackets(name, options.keep, home);
      if (wanted === "off") await dropPackets(name, home);
      const config = openConfig(home, name);
      await tell(
        io,
        name,
        packetSummary(config, vmPaths(home, name), findRun(home, config)),
        options,
      );
    });
};

async function tell(
  io: CommandIo,
  name: string,
  summary: PacketSummary,
  options: Options,
): Promise<void> {
  if (options.json === true) return writeDocument(io, "kvmsec.packets/1", { name, ...summary });
  await write(io.stdout, `${name}: ${packetText(summary)}\n`);
}

/** One line for people. */
export function packetText({ on, by, keepBytes, folder, files, bytes }: PacketSummary): string {
  const what =
    files.length === 0
      ? ""
      : `; ${files.length} files, ${sizeText(bytes)}, in ${printable(folder)}`;
  if (by === null) return `its packets are not kept${what}`;
  const who = by === "guard" ? ", as the guard's configuration wants" : "";
  const when = on ? "are kept" : "will be kept when it runs";
  return `its packets ${when}${who}: the last ${sizeText(keepBytes ?? 0)}${what}`;
}
