import { BtfKind } from "../formats/btf.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Names of an enum's values as tools write them: `BPF_PROG_TYPE_XDP` with the prefix
 * `BPF_PROG_TYPE_` is `xdp`. Of several names for one value the last that is not deprecated counts.
 */
export function enumNames(kernel: Kernel, name: string, prefix: string): Map<number, string> {
  const { source } = kernel.types;
  const id = source.find(name, BtfKind.ENUM) || source.find(name, BtfKind.ENUM64);
  const names = new Map<number, string>();
  for (const { name: enumerator, value } of source.enumerators(id)) {
    if (!enumerator.startsWith(prefix)) continue;
    const number = Number(value);
    const isOld = enumerator.endsWith("_DEPRECATED") && names.has(number);
    if (!isOld) names.set(number, enumerator.slice(prefix.length).toLowerCase());
  }
  return names;
}
