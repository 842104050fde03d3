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
 * neither searches nor decodes. What comes out is verified against the guest before it is used.
 */
export interface SymbolCache {
  known(): readonly KnownKernel[];
  load(kernel: KnownKernel): Uint8Array | undefined;
  store(kernel: KnownKernel, symbols: Uint8Array): void;
}
