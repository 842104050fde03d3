/** A value of QEMU's `a=b,c=d` lists, where `,,` is a comma; the first may come without its key. */
export function keyed(list: string, key: string, implied = false): string | undefined {
  const parts = list.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(",,", ","));
  const named = parts.find((part) => part.startsWith(`${key}=`));
  if (named !== undefined) return named.slice(key.length + 1);
  const [first] = parts;
  return implied && first !== undefined && first !== "" && !first.includes("=") ? first : undefined;
}

/** `512`, `512M`, `4G`, `1024k`; undefined where it is no size. */
export function parseSize(text: string, unit: number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([bkmgt]?)i?b?$/i.exec(text.trim());
  if (match === null) return undefined;
  const suffix = match[2].toLowerCase();
  const scale = suffix === "" ? unit : 1024 ** "bkmgt".indexOf(suffix);
  return Math.round(Number(match[1]) * scale);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
