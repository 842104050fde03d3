/** A module's ELF file as it was loaded from, unpacked. */
export type ModuleFile = {
  readonly bytes: Uint8Array;
  /** Where it was found, for people: `disk 0, partition 1 (ext4): /usr/lib/modules/…/fuse.ko.xz`. */
  readonly from: string;
};

/**
 * Finds the file of a loaded module by the module's name and build id (lower-case hexadecimal, as
 * `Module.buildId`). Only a file of that build id is given; else the reason why there is none.
 * Each call reads and unpacks the file anew: keep what you make of it.
 */
export type FindModuleFile = (
  name: string,
  buildId: string,
) => ModuleFile | { readonly missing: string };
