import { InvalidArgumentError, Option } from "commander";

/** An option that takes a whole number, 0 or more; `0x…` for hexadecimal. */
export function numberOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(parseNumber);
}

/** A whole number, 0 or more. Throws commander's InvalidArgumentError. */
export function parseNumber(text: string): number {
  const number = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError("A whole number is wanted, such as 4096 or 0x1000.");
}
