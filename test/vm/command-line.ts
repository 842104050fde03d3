import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { fileURLToPath } from "node:url";

const command = fileURLToPath(new URL("../../bin/kvmsec.js", import.meta.url));

export type CommandResult = {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
};

/** Starts kvmsec as a user would, in a process group of its own. */
export function startKvmsec(root: string, args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [command, ...args], {
    env: { ...process.env, KVMSEC_HOME: root },
    detached: true,
  });
}

/** Runs kvmsec to its end. */
export function kvmsec(root: string, ...args: string[]): Promise<CommandResult> {
  const child = startKvmsec(root, args);
  child.stdin.end();
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve) => {
    child.on("close", (code) => resolve({ status: code ?? 128, stdout, stderr }));
  });
}

/** The code of the error that kvmsec told, and its exit status. */
export function refusal({ status, stderr }: CommandResult): string {
  return `${status} ${/^kvmsec: (KVMSEC_\w+): /m.exec(stderr)?.[1] ?? stderr}`;
}
