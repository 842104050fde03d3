/**
 * Keeps a kernel's decoded symbols by build id, so that the second look at the same kernel does
 * not decode them again. What comes out is verified against the guest before it is used.
 */
export interface SymbolCache {
  load(buildId: string): Uint8Array | undefined;
  store(buildId: string, bytes: Uint8Array): void;
}
