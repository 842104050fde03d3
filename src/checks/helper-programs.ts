import type { Check, CheckContext } from "./check.ts";
import { isVolatilePath } from "./paths.ts";

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
    "The programs that the kernel starts by itself (modprobe_path, core_pattern, uevent_helper, poweroff_cmd) are absolute paths outside the folders where anybody may write.",
  reads: "modprobe_path, core_pattern, uevent_helper, poweroff_cmd, reboot_cmd",
  attack: ["T1546", "T1548"],
  limits: "A program that was replaced in its own place is left to the checks of files.",
  run(context) {
    for (const { symbol, what } of SETTINGS) checkSetting(context, symbol, what);
  },
};

function checkSetting(context: CheckContext, symbol: string, what: string): void {
  const { kernel } = context;
  const address = kernel.symbol(symbol);
  if (address !== address) return;
  const value = kernel.space.string(address, MAX_LENGTH);
  if (value === undefined) return context.unseen(`${symbol} cannot be read`);
  context.cover(1);
  const program = programOf(symbol, value);
  if (program === undefined || !isSuspicious(program)) return;
  context.report({
    severity: "critical",
    confidence: "high",
    title: `The program that ${what} for the kernel (${symbol}) is ${JSON.stringify(program)}.`,
    subject: { setting: symbol },
    evidence: { address: kernel.format(address), value },
  });
}

/** A core_pattern names a program only behind `|`; an empty setting starts nothing. */
function programOf(symbol: string, value: string): string | undefined {
  const text = symbol === "core_pattern" ? /^\|\s*(.*)$/s.exec(value)?.[1] : value;
  const program = text?.trim().split(/\s/, 1)[0];
  return program === "" ? undefined : program;
}

function isSuspicious(program: string): boolean {
  return !program.startsWith("/") || isVolatilePath(program) || /\/\.\.?(\/|$)/.test(program);
}
