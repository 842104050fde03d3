import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { systemCode, usageError } from "../base/errors.ts";
import { invalidConfig, loadYaml, parseYaml } from "../policy/load.ts";
import { homePath } from "../vm/home.ts";
import { configSchema } from "./config.ts";
import type { Config } from "./config.ts";

/** The configuration that a command uses where none is named: $KVMSEC_CONFIG, else guard.yaml of the home. */
export function configPath(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  return environment["KVMSEC_CONFIG"] || join(homePath(environment), "guard.yaml");
}

/** A configuration and the files that it came from, in their order. */
export type LoadedConfig = { readonly config: Config; readonly files: readonly string[] };

/**
 * Reads a configuration and what lies in the folder beside it (`guard.yaml` and `guard.yaml.d/*.yaml`,
 * by name): lists are joined, what is set twice is what the last file says. Without a path the one
 * of `configPath`, or the defaults where there is none. Each file is checked by itself, so that a
 * mistake is told with its file. Throws KVMSEC_CONFIG_INVALID, KVMSEC_CONFIG_UNREADABLE.
 */
export function readConfig(path?: string): LoadedConfig {
  const main = path ?? configPath();
  const parts: unknown[] = [];
  const files: string[] = [];
  for (const file of [main, ...partsOf(`${main}.d`)]) {
    const text = readText(file, file === main && path === undefined);
    if (text === undefined) continue;
    loadYaml(configSchema, text, file);
    parts.push(parseYaml(text, file));
    files.push(file);
  }
  const merged = configSchema.safeParse(parts.reduce(merge, {}));
  if (merged.success) return { config: merged.data, files };
  throw invalidConfig(files.join(" with "), merged.error.issues);
}

/** Only the configuration. */
export function loadConfig(path?: string): Config {
  return readConfig(path).config;
}

function partsOf(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("."))
      .toSorted()
      .map((name) => join(folder, name));
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return [];
    throw unreadable(folder, error);
  }
}

function readText(path: string, mayBeMissing: boolean): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (mayBeMissing && systemCode(error) === "ENOENT") return undefined;
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown) {
  const reason = systemCode(error) ?? String(error);
  return usageError("KVMSEC_CONFIG_UNREADABLE", `${path} cannot be read: ${reason}`);
}

/** Objects are joined by their fields, lists end to end; of anything else the later counts. */
function merge(first: unknown, second: unknown): unknown {
  if (second === undefined || second === null) return first;
  if (Array.isArray(first) && Array.isArray(second)) return [...first, ...second];
  if (!isObject(first) || !isObject(second)) return second;
  const joined = { ...first };
  for (const [key, value] of Object.entries(second)) joined[key] = merge(joined[key], value);
  return joined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
