import type { Command } from "commander";
import { openConsole } from "../../vm/console-link.ts";
import { openVm } from "../../vm/guest-vm.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo } from "../command.ts";
import { consoleSession } from "../console-session.ts";
import type { SessionEnd } from "../console-session.ts";

/** `kvmsec vm console`. */
export function defineConsole(command: Command, io: CommandIo): void {
  command
    .command("console")
    .description("sits down at a VM's serial console; ~. leaves it")
    .argument("<name>", "the VM's name")
    .action((name: string) => sitDown(io, name));
}

async function sitDown(io: CommandIo, name: string): Promise<void> {
  const home = openHome();
  using link = await openConsole(openVm(name, home), home);
  const typed = process.stdin.isTTY;
  if (typed) {
    io.stderr.write(
      `At the console of ${name}. Press Enter for a prompt; leave with Enter ~ . (help: ~?)\n`,
    );
  }
  const end = await consoleSession(link, io);
  if (typed) io.stderr.write(`\n${endText(end, name)}\n`);
}

function endText(end: SessionEnd, name: string): string {
  if (end === "guest-ended") return `${name} has ended.`;
  return `Left the console of ${name}, which runs on.`;
}
