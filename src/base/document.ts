import { z } from "zod";

/**
 * A kind of JSON document that kvmsec writes for itself and reads again. What lies there by then may
 * have been cut short, come from another kvmsec, or be of somebody else's hand.
 */
export type DocumentKind<Document> = {
  /** The name in its `schema`. */
  readonly schema: string;
  /** What it has to hold; what is not named here may be there too. */
  readonly shape: z.ZodType<Document>;
};

export function documentKind<Schema extends string, Fields extends z.ZodRawShape>(
  schema: Schema,
  fields: Fields,
) {
  return { schema, shape: z.object({ schema: z.literal(schema), ...fields }) };
}

/** No document is nested so deeply; what is could be parsed, but not be written again to be hashed. */
const MAX_DEPTH = 256;

function isDeeper(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; depth < MAX_DEPTH && level.length > 0; depth++) {
    level = level.flatMap((each) =>
      typeof each === "object" && each !== null ? Object.values(each) : [],
    );
  }
  return level.length > 0;
}

/** The document of that kind in a text, or what is wrong with it. Never throws. */
export function parseDocument<Document extends object>(
  text: string,
  { schema, shape }: DocumentKind<Document>,
): Document | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  if (text.length > MAX_DEPTH && isDeeper(value)) return "it is nested too deeply";
  const { error } = shape.safeParse(value);
  // The document itself and not what the shape makes of it: signatures are over all that it holds.
  if (error === undefined) return value as Document;
  const [{ path, message }] = error.issues;
  const place = path.join(".");
  return place === "" || place === "schema" ? `it is no ${schema}` : `${place}: ${message}`;
}
