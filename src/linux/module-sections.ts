import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A section of a module's file, and where the loader put it. */
export type ModuleSection = { readonly name: string; readonly address: GuestVirtual };

/** A module has some fifty, but built with LTO one for each function. */
const MAX_SECTIONS = 1 << 14;
const MAX_NAME = 256;

/**
 * What /sys/module/NAME/sections shows, in the file's order: every section that was given memory,
 * those that are freed after initialisation too (add_sect_attrs, kernel/module/sysfs.c). Undefined
 * where the kernel keeps no such list, or it cannot be read to its end.
 */
export function moduleSections(
  kernel: Kernel,
  module: GuestVirtual,
): readonly ModuleSection[] | undefined {
  const { types, space } = kernel;
  const attributes = kernel.readerOf("module", "sect_attrs")?.(module);
  const list = kernel.readerOf("attribute_group", "bin_attrs_new", "bin_attrs");
  if (attributes === undefined || list === undefined || !(attributes < 0)) return undefined;
  const name = kernel.reader("bin_attribute", "attr.name");
  // struct module_sect_attr was dissolved in 6.14: the address is the attribute's private pointer.
  const address = types.has("module_sect_attr", "address")
    ? kernel.addressReader("module_sect_attr", "address")
    : kernel.addressReader("bin_attribute", "private");
  const sections: ModuleSection[] = [];
  let slot = list(attributes + kernel.offset("module_sect_attrs", "grp"));
  for (let count = 0; count < MAX_SECTIONS; count++, slot += 8) {
    const attribute = space.pointer(slot);
    if (attribute === 0) return sections;
    const text = space.string(name(attribute), MAX_NAME);
    const start = address(attribute);
    if (text === undefined || start !== start) return undefined;
    sections.push({ name: text, address: start });
  }
  return undefined;
}
