import { createHash } from "node:crypto";
import { KvmsecError } from "../base/errors.ts";
import type { Config } from "./config.ts";
import type { LoadedConfig } from "./load-config.ts";

/** What came of reading the configuration anew. */
export type Reload =
  | { readonly ok: true; readonly facts: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly error: KvmsecError };

/** The configuration that holds now. A broken new one changes nothing. */
export class LiveConfig {
  readonly #load: () => LoadedConfig;
  #current: LoadedConfig;

  /** Reads it for the first time. Throws as `readConfig` does. */
  constructor(load: () => LoadedConfig) {
    this.#load = load;
    this.#current = load();
  }

  get now(): Config {
    return this.#current.config;
  }

  /** What is known of it, for the record: its files, its hash, and what a reload has changed. */
  facts(before?: Config): Readonly<Record<string, unknown>> {
    const { config, files } = this.#current;
    const sha256 = createHash("sha256").update(JSON.stringify(config)).digest("hex");
    const keys = Object.keys(config) as (keyof Config)[];
    const changed = keys.filter(
      (key) => before !== undefined && JSON.stringify(before[key]) !== JSON.stringify(config[key]),
    );
    return { files, sha256, ...(before === undefined ? {} : { changed }) };
  }

  reload(): Reload {
    const before = this.now;
    try {
      this.#current = this.#load();
      return { ok: true, facts: this.facts(before) };
    } catch (error) {
      if (error instanceof KvmsecError) return { ok: false, error };
      throw error;
    }
  }
}
