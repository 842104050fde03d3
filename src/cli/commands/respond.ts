import { Argument } from "commander";
import { respond, simpleActions } from "../../response/respond.ts";
import type { Response, SimpleAction } from "../../response/respond.ts";
import { settlePending } from "../../response/pending.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { durationText, write, writeDocument } from "../output.ts";

type Options = { readonly json?: boolean };

const said: Readonly<Record<SimpleAction, string>> = {
  freeze: "is frozen",
  resume: "runs on",
  isolate: "is cut off from every network",
  rejoin: "is on its networks again",
  kill: "is ended",
};

/** `kvmsec respond`: acts upon a guest, by hand. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .argument("<target>", "a guest's name, pid:N or qmp:PATH")
    .addArgument(
      new Argument(
        "<action>",
        "freeze and resume its run; isolate it from networks and let it rejoin; kill it at once",
      ).choices(simpleActions),
    )
    .option("--json", "one JSON document")
    .action(async (target: string, action: SimpleAction, options: Options) => {
      const home = openHome();
      await tellSettled(io, await settlePending(home));
      const response = await respond(home, target, action);
      await tell(io, target, response, options);
    });
};

async function tell(
  io: CommandIo,
  target: string,
  response: Response,
  options: Options,
): Promise<void> {
  if (options.json === true) {
    return writeDocument(io, "kvmsec.response/1", { target, ...response });
  }
  const { action, durationMs } = response;
  await write(io.stdout, `${target} ${said[action]} (${durationText(durationMs)}).\n`);
}

/** Says on standard error what was left over from before and is settled now. */
export async function tellSettled(
  io: CommandIo,
  settled: Awaited<ReturnType<typeof settlePending>>,
): Promise<void> {
  for (const { action, target, result } of settled) {
    const became = result === "gone" ? "given up: its guest has ended" : result;
    await write(
      io.stderr,
      `kvmsec: '${action}' of ${target} was cut short before; now ${became}\n`,
    );
  }
}
