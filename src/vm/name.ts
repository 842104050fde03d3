import { z } from "zod";
import { usageError } from "../base/errors.ts";

// Letters, digits, and dots, dashes and underscores inside. No colon (`pid:12` is a target), no comma or
// equals sign (they end a value on QEMU's command line), no slash.
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$/;

/** A name of a VM or an image in a document. */
export const nameShape = z.string().regex(NAME);

/** Whether it may name a VM or an image. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** The name if it may name a VM or an image; throws KVMSEC_NAME_INVALID. */
export function checkedName(name: string): string {
  if (isName(name)) return name;
  throw usageError(
    "KVMSEC_NAME_INVALID",
    `${JSON.stringify(name)} cannot be a name.`,
    "A name has up to 40 letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit.",
  );
}
