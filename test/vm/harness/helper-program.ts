import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache.ts";
import { command } from "./command.ts";

/** A static program compiled from one of the C files beside this one, once per content. */
export async function helperProgram(name: string): Promise<string> {
  const source = join(import.meta.dirname, `${name}.c`);
  const header = join(import.meta.dirname, "scenario.h");
  const text = [source, header].map((file) => readFileSync(file, "utf8")).join("");
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 16);
  const program = join(cacheDirectory("programs"), `${name}-${hash}`);
  if (existsSync(program)) return program;
  const fresh = `${program}.${process.pid}`;
  await command("gcc", ["-static", "-O2", "-Wall", "-Wextra", "-pthread", "-o", fresh, source]);
  renameSync(fresh, program);
  return program;
}
