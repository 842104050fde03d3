import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache.ts";
import { command } from "./command.ts";
import type { Kernel } from "./debian-kernel.ts";
import { kernelHeaders } from "./kernel-headers.ts";

const SOURCES = join(import.meta.dirname, "../modules");

/**
 * Builds the kernel modules of test/vm/modules for a kernel, once per content, and returns the
 * folder with NAME.ko of each. They are for throwaway guests: nothing ever loads them on the host.
 */
export async function ownModules(kernel: Kernel): Promise<string> {
  const files = readdirSync(SOURCES).filter((name) => /\.[ch]$/.test(name));
  const text = files.map((name) => name + readFileSync(join(SOURCES, name), "utf8")).join("");
  const key = createHash("sha256").update(text).digest("hex").slice(0, 16);
  const home = cacheDirectory("own-modules", kernel.version);
  const done = join(home, key);
  if (existsSync(done)) return done;
  const headers = await kernelHeaders(kernel);
  const fresh = mkdtempSync(join(home, "fresh-"));
  try {
    for (const name of files) cpSync(join(SOURCES, name), join(fresh, name));
    const names = files.filter((name) => name.endsWith(".c"));
    const objects = names.map((name) => name.replace(/\.c$/, ".o")).join(" ");
    writeFileSync(join(fresh, "Kbuild"), `obj-m := ${objects}\n`);
    const compiler = await compilerFor(headers);
    await command("make", ["-s", "-C", headers, `M=${fresh}`, `CC=${compiler}`, "-j2", "modules"]);
    renameSync(fresh, done);
  } catch (error) {
    rmSync(fresh, { recursive: true });
    // Another process was as quick, with the same content.
    if (!existsSync(done)) throw error;
  }
  return done;
}

/** The one that the kernel was built with, where this machine has it; else its own. */
async function compilerFor(headers: string): Promise<string> {
  const wanted = /\b(gcc-\d+)$/m.exec(readFileSync(join(headers, ".kernelvariables"), "utf8"))?.[1];
  const found = await command("sh", ["-c", `command -v ${wanted ?? "gcc"} || true`]);
  return found === "" ? "gcc" : (wanted ?? "gcc");
}
