import type { Command } from "commander";
import type { OpenDumpOptions } from "../memory/open-dump.ts";
import { parseSize } from "../vm/size.ts";

/** What `dumpOptions` adds to a command's options. */
export type DumpFlags = {
  readonly rawImage?: boolean;
  readonly lowSize?: number;
  readonly salvage?: boolean;
  readonly zeroExcluded?: boolean;
  readonly part?: readonly string[];
};

/** The options about how to read a `file:` target. */
export function dumpOptions(command: Command): Command {
  return command
    .optionsGroup("For file:DUMP only:")
    .option("--raw-image", "a raw image of memory, whatever it looks like")
    .option(
      "--low-size <size>",
      "of a raw image without the hole below 4 GiB: the memory under it, such as 2G or 3G",
      parseSize,
    )
    .option("--salvage", "read what there is of a truncated or damaged dump")
    .option("--zero-excluded", "take pages that makedumpfile left out for zero")
    .option(
      "--part <file>",
      "another part of a dump that was split; again for each",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .optionsGroup("Options:");
}

/** The same as openDump takes them; undefined where none was given. */
export function dumpOptionsOf(flags: DumpFlags): OpenDumpOptions | undefined {
  const { rawImage, lowSize, salvage, zeroExcluded, part } = flags;
  const given: OpenDumpOptions = {
    ...(rawImage !== undefined && { raw: rawImage }),
    ...(lowSize !== undefined && { lowSize }),
    ...(salvage !== undefined && { salvage }),
    ...(zeroExcluded !== undefined && { zeroExcluded }),
    ...(part !== undefined && { parts: part }),
  };
  return Object.keys(given).length === 0 ? undefined : given;
}
