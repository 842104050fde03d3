import { execFile } from "node:child_process";
import { promisify } from "node:util";

const exec = promisify(execFile);

/** Runs a host command to its end and returns its standard output; its errors go into the exception. */
export async function command(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const { stdout } = await exec(file, [...args], {
    cwd: options.cwd,
    env: { ...process.env, PATH: searchPath(), LC_ALL: "C", ...options.env },
    maxBuffer: 512 << 20,
  });
  return stdout;
}

/** The system's tools are in sbin too, which an ordinary user's PATH often lacks. */
export function searchPath(): string {
  return `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
}
