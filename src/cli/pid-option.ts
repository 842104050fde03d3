import { InvalidArgumentError, Option } from "commander";
import { PID_MAX_LIMIT } from "../linux/pid.ts";

/** `--pid N`, which may be given more than once or as `N,N`. */
export function pidOption(): Option {
  const option = new Option("-p, --pid <pid>", "only this process; again or with commas for more");
  return option.argParser((text: string, previous: readonly number[] | undefined) => [
    ...(previous ?? []),
    ...text.split(",").map(parsePid),
  ]);
}

function parsePid(text: string): number {
  const pid = Number(text);
  if (text.trim() !== "" && Number.isInteger(pid) && pid >= 0 && pid <= PID_MAX_LIMIT) return pid;
  throw new InvalidArgumentError(`A process's id is a number from 0 to ${PID_MAX_LIMIT}.`);
}
