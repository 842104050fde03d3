import type { Command } from "commander";

/** The options about where the files of the guest's kernel are: `findKernelFiles` takes them. */
export function fileOptions(command: Command): Command {
  return diskOption(
    command
      .option("--kernel-file <file>", "the vmlinuz or vmlinux that the guest booted")
      .option("--modules-dir <folder>", "the modules of its kernel, as /lib/modules/RELEASE"),
  );
}

/** `--disk`, which may be given again. */
export function diskOption(command: Command): Command {
  return command.option(
    "--disk <image>",
    "an image of the guest's disk, for dumps; again for each",
    (path: string, before: readonly string[] = []) => [...before, path],
  );
}
