/** Paints text where that is wanted, and leaves it as it is elsewhere. */
export type Colours = {
  readonly enabled: boolean;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
};

type Stream = { readonly isTTY?: boolean | undefined };
type Environment = Readonly<Record<string, string | undefined>>;

/** Colour is for terminals only, and never where NO_COLOR is set (no-color.org) or TERM is dumb. */
export function colours(stream: Stream, environment: Environment = process.env): Colours {
  const refused = (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb";
  const enabled = stream.isTTY === true && !refused;
  // SGR parameters of ECMA-48: on, off.
  const paint = (on: number, off: number) => (text: string) =>
    enabled && text !== "" ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return {
    enabled,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}
