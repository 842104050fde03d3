import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeFlags } from "../../bin/node-options.js";

/** As the launcher runs kvmsec: its flags of Node, and the compiled code of earlier runs. */
export const commandEnvironment = {
  ...process.env,
  NODE_COMPILE_CACHE: join(tmpdir(), "kvmsec-bench-compiled"),
};

/** Runs a script of this folder in a process of its own, as a command runs; what it prints. */
export function runAsCommand(
  script: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): string {
  const path = join(import.meta.dirname, script);
  return execFileSync(process.execPath, [...nodeFlags, path, ...args], {
    env: { ...commandEnvironment, ...environment },
    encoding: "utf8",
  });
}
