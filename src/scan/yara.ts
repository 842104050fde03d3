import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { KvmsecError, systemCode, usageError } from "../base/errors.ts";

/** What a rule found in one window. */
export type RuleMatch = {
  readonly ruleIdentifier: string;
  readonly namespace: string;
  readonly meta: object;
  readonly tags: readonly string[];
  readonly matches: readonly {
    readonly offset: number;
    readonly length: number;
    readonly identifier: string;
  }[];
};

type CompilerMessage = { readonly message: string };

type CompilerOptions = {
  readonly enableIncludes: boolean;
  readonly includeDirectories: readonly string[];
};

/** What the package offers (its index.d.ts), as far as it is used. */
type YaraPackage = {
  validate(source: string, options: CompilerOptions): { errors: CompilerMessage[] };
  compile(source: string, options: CompilerOptions): CompiledRules;
};

type CompiledRules = {
  scan(data: Buffer): RuleMatch[];
  getWarnings(): CompilerMessage[];
  setMaxMatchesPerPattern(most: number): void;
};

/** More of one pattern in one window are not told apart. */
const MAX_PER_PATTERN = 1000;

/** YARA rules, compiled. The engine (YARA-X) is in Rust, and its binary comes in its package. */
export class YaraRules {
  readonly #rules: CompiledRules;
  /** What the compiler finds doubtful. */
  readonly warnings: readonly string[];

  private constructor(rules: CompiledRules) {
    this.#rules = rules;
    this.warnings = rules.getWarnings().map(({ message }) => oneLine(message));
    rules.setMaxMatchesPerPattern(MAX_PER_PATTERN);
  }

  /**
   * Reads rules from a file; `include` means files beside it. Throws KVMSEC_RULES_UNREADABLE, KVMSEC_RULES_INVALID with the line of
   * each mistake, KVMSEC_YARA_MISSING where the engine does not run on this machine.
   */
  static load(path: string): YaraRules {
    let source: string;
    try {
      source = readFileSync(path, "utf8");
    } catch (error) {
      const reason = systemCode(error) ?? String(error);
      throw usageError("KVMSEC_RULES_UNREADABLE", `${path} cannot be read: ${reason}`);
    }
    const options = { enableIncludes: true, includeDirectories: [dirname(path)] };
    const yara = loadEngine();
    try {
      const { errors } = yara.validate(source, options);
      if (errors.length > 0)
        throw invalid(
          path,
          errors.map(({ message }) => message),
        );
      return new YaraRules(yara.compile(source, options));
    } catch (error) {
      if (error instanceof KvmsecError) throw error;
      throw invalid(path, [error instanceof Error ? error.message : String(error)]);
    }
  }

  scan(bytes: Buffer): RuleMatch[] {
    return this.#rules.scan(bytes);
  }
}

function loadEngine(): YaraPackage {
  try {
    return createRequire(import.meta.url)("@litko/yara-x-linux-x64-gnu") as YaraPackage;
  } catch (error) {
    throw new KvmsecError("KVMSEC_YARA_MISSING", "The YARA engine is not installed.", {
      hint: "Run 'npm ci' in kvmsec's folder; its binary is for x86-64 Linux with the GNU C library.",
      cause: error,
    });
  }
}

function invalid(path: string, messages: readonly string[]): KvmsecError {
  return usageError(
    "KVMSEC_RULES_INVALID",
    messages.map((message) => `${path}${lineOf(message)}: ${oneLine(message)}`).join("\n"),
    "The rules are those of YARA-X, which takes nearly all that YARA takes.",
  );
}

/** The compiler points at a place as ` --> line:3:13`. */
function lineOf(message: string): string {
  const place = / --> .*?(\d+):(\d+)\s*$/m.exec(message);
  return place === null ? "" : `, line ${place[1]}`;
}

/** What it says, without the picture of the line; then what it points at there. */
function oneLine(message: string): string {
  const [first = ""] = message.split("\n");
  const pointed = [...message.matchAll(/\^+ (.+)$/gm)].map((match) => match[1]);
  const said = first.replace(/^(?:Compilation error \(E\d+\): )?(?:error|warning)/, "$&").trim();
  return [said, ...pointed].join(": ");
}
