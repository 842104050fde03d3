import { binfmtEntries } from "../linux/binfmt-misc.ts";
import { releaseAgents } from "../linux/release-agent.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { isVolatilePath, plainPath } from "./paths.ts";

/** Strings that name a program which the kernel starts as root. */
const SETTINGS: readonly { readonly symbol: string; readonly what: string }[] = [
  { symbol: "modprobe_path", what: "loads modules" },
  { symbol: "poweroff_cmd", what: "powers off" },
  { symbol: "reboot_cmd", what: "reboots" },
  { symbol: "uevent_helper", what: "hears of every device" },
  { symbol: "core_pattern", what: "takes core dumps" },
];
const MAX_LENGTH = 256;

/** Programs that the kernel starts by itself lie where only root puts programs. */
export const helperPrograms: Check = {
  id: "helper-programs",
  proves:
    "The programs that the kernel starts by itself (modprobe_path, core_pattern, uevent_helper, poweroff_cmd, release agents of cgroups, interpreters of binfmt_misc) are absolute paths outside the folders where anybody may write, and no shell or interpreter is given commands or files from there.",
  reads:
    "modprobe_path, core_pattern, uevent_helper, poweroff_cmd, reboot_cmd; cgroup_root.release_agent_path; entries of binfmt_misc",
  attack: ["T1546", "T1548"],
  limits:
    "A program that was replaced in its own place is left to the checks of files. Entries of binfmt_misc in user namespaces are not read, nor any before 5.11, which shows in the coverage.",
  run(context) {
    for (const { symbol, what } of SETTINGS) checkSetting(context, symbol, what);
    checkReleaseAgents(context);
    checkFormats(context);
  },
};

function checkSetting(context: CheckContext, symbol: string, what: string): void {
  const { kernel } = context;
  const address = kernel.symbol(symbol);
  if (address !== address) return;
  const value = kernel.space.string(address, MAX_LENGTH);
  if (value === undefined) return context.unseen(`${symbol} cannot be read`);
  context.cover(1);
  const program = suspectOf(symbol, value);
  if (program === undefined) return;
  context.report({
    severity: "critical",
    confidence: "high",
    title: `The program that ${what} for the kernel (${symbol}) is ${JSON.stringify(program)}.`,
    subject: { setting: symbol },
    evidence: { address: kernel.format(address), value },
  });
}

function checkReleaseAgents(context: CheckContext): void {
  const agents = releaseAgents(context.kernel, (reason) => context.unseen(reason));
  for (const { hierarchy, program } of agents) {
    context.cover(1);
    if (!isSuspicious(program)) continue;
    context.report({
      severity: "critical",
      confidence: "high",
      title: `The program that cleans up cgroups for the kernel (release_agent) is ${JSON.stringify(program)}.`,
      subject: { setting: "release_agent", hierarchy },
      evidence: { hierarchy, value: program },
    });
  }
}

function checkFormats(context: CheckContext): void {
  const { kernel, facts } = context;
  const problem = (reason: string): void => context.unseen(reason);
  const entries = binfmtEntries(kernel, facts.get(codeOwners), problem);
  if (entries === undefined) return context.cover(0, 1);
  context.cover(entries.length);
  for (const { name, interpreter, entry } of entries) {
    if (interpreter === undefined || !isSuspicious(interpreter)) continue;
    context.report({
      severity: "critical",
      confidence: "high",
      title: `Programs of format ${JSON.stringify(name)} (binfmt_misc) are started through ${JSON.stringify(interpreter)}.`,
      subject: { setting: "binfmt_misc", format: name },
      evidence: { value: interpreter, entry: kernel.format(entry) },
    });
  }
  return undefined;
}

/** Programs that do what their arguments say; their names may have a version. */
const INTERPRETER =
  /^(sh|bash|dash|ash|ksh|zsh|busybox|env|setsid|nohup|perl|python|ruby|php|lua|node|awk|socat|ncat|nc)[\d.]*$/;
/** What `-c` and `-e` are followed by is a program itself. */
const COMMAND = /^-\w*[ce]$/;

/**
 * What of a setting should not be started, if anything. A core_pattern names a program only behind
 * `|`; an empty setting starts nothing. All but modprobe_path may have arguments.
 */
function suspectOf(symbol: string, value: string): string | undefined {
  const text = symbol === "core_pattern" ? /^\|\s*(.*)$/s.exec(value)?.[1] : value;
  const [program = "", ...words] = text?.trim().split(/\s+/) ?? [];
  if (program === "") return undefined;
  if (isSuspicious(program)) return program;
  if (!INTERPRETER.test(program.slice(program.lastIndexOf("/") + 1))) return undefined;
  const isOdd = words.some((word) => COMMAND.test(word) || isVolatilePath(plainPath(word)));
  return isOdd ? [program, ...words].join(" ") : undefined;
}

/** Below /proc lies whatever some process has; a path with dots in it goes round about. */
function isSuspicious(program: string): boolean {
  const plain = plainPath(program);
  const isOdd = !program.startsWith("/") || /^\/(proc|sys)\//.test(plain);
  return isOdd || isVolatilePath(plain) || /\/\.\.?(\/|$)/.test(program);
}
