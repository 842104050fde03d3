import { capture } from "../../response/capture.ts";
import type { Capture } from "../../response/capture.ts";
import { changeStorage } from "../../response/storage-job.ts";
import { settlePending } from "../../response/pending.ts";
import { inspect } from "../../daemon/inspect.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { durationText, sizeText, write, writeDocument } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import { tellSettled } from "./respond.ts";

type Options = { readonly output: string; readonly compress?: boolean; readonly json?: boolean };

/** `kvmsec capture`: a guest's whole state into an evidence package. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .argument("<target>", "a guest's name, pid:N or qmp:PATH")
    .requiredOption("-o, --output <folder>", "where the package goes; it must not be there yet")
    .option("--compress", "pack its large files (zstd), once the guest is back")
    .option("--json", "one JSON document")
    .action(async (target: string, options: Options) => {
      const home = openHome();
      await tellSettled(io, await settlePending(home, inspect));
      using shown = stageProgress(io);
      const made = await capture(home, target, options.output, { inspect, onStage: shown.step });
      if (options.compress === true) {
        await changeStorage(home, made.folder, "compress", { onStage: shown.step });
      }
      shown.done();
      await tell(io, target, made, options);
    });
};

async function tell(io: CommandIo, target: string, made: Capture, options: Options): Promise<void> {
  const { manifest, folder, pauseMs, verdict, job } = made;
  if (options.json === true) {
    const { id, files } = manifest;
    return writeDocument(io, "kvmsec.capture/1", {
      target,
      id,
      folder,
      pauseMs,
      verdict,
      job,
      files: files.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    });
  }
  const size = manifest.files.reduce((sum, file) => sum + file.size, 0);
  const pause =
    pauseMs === 0 ? "it stood still already" : `it stood still for ${durationText(pauseMs)}`;
  await write(
    io.stdout,
    `${target} is captured in ${folder}: ${manifest.files.length} files, ${sizeText(size)}; ${pause}.\n` +
      `Sweep of the copy: ${verdict}. Check it anywhere: kvmsec evidence verify ${options.output}\n`,
  );
}
