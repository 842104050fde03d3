/**
 * A kernel that was decoded before, and two places by which it is recognised without a search.
 * Offsets are bytes from `_text`, the same in every boot of that kernel.
 */
export type KnownKernel = {
  /** GNU build id, lower-case hexadecimal. */
  readonly buildId: string;
  /** Where the build id's bytes lie. */
  readonly buildIdOffset: number;
  /** Where `level3_kernel_pgt` lies. */
  readonly level3Offset: number;
};

/**
 * Keeps decoded symbols by build id, so that the second look at a kernel, in whichever guest,
 * neither searches nor decodes. What comes out is used only where the guest's memory holds the very
 * table that it was decoded from (see symbol-proof.ts).
 */
export interface SymbolCache {
  known(): readonly KnownKernel[];
  load(kernel: KnownKernel): Uint8Array | undefined;
  store(kernel: KnownKernel, symbols: Uint8Array): void;
}
