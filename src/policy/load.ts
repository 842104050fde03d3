import { z } from "zod";
import { parseDocument } from "yaml";
import { usageError } from "../base/errors.ts";

/** No configuration is longer, aliases included. */
const MAX_TEXT = 1 << 20;
const MAX_ALIASES = 100;

/**
 * Reads YAML (JSON is YAML too) of that shape. Throws KVMSEC_CONFIG_INVALID, which names every
 * place that does not fit; `source` names the text in it.
 */
export function loadYaml<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  source: string,
): z.output<Schema> {
  const read = schema.safeParse(parseYaml(text, source));
  if (read.success) return read.data;
  throw invalidConfig(source, read.error.issues);
}

/** What a YAML text holds, whatever its shape. Throws KVMSEC_CONFIG_INVALID. */
export function parseYaml(text: string, source: string): unknown {
  if (text.length > MAX_TEXT) throw invalid(source, ["it is longer than 1 MiB"]);
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) throw invalid(source, document.errors.map(firstLine));
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
  } catch (error) {
    throw invalid(source, [String(error)]);
  }
}

/** The error that names each place that does not fit. */
export function invalidConfig(
  source: string,
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
) {
  return invalid(
    source,
    issues.map(({ path, message }) =>
      path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`,
    ),
  );
}

/** The JSON Schema of what a user writes. */
export function jsonSchemaOf(schema: z.ZodType): object {
  return z.toJSONSchema(schema, { io: "input" });
}

function firstLine({ message }: Error): string {
  return message.split("\n", 1)[0] ?? message;
}

function invalid(source: string, faults: readonly string[]) {
  return usageError(
    "KVMSEC_CONFIG_INVALID",
    `${source} is no valid configuration: ${faults.join("; ")}`,
    "kvmsec config schema prints what may stand in it.",
  );
}
