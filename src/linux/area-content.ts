import { eachPresentPage } from "../arch/x86/present-pages.ts";
import type { PageTables } from "../arch/x86/page-tables.ts";
import type { GuestPhysical } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";

/** A stretch of a process's memory that is in RAM. */
export type AreaPiece = { readonly address: number; readonly bytes: Uint8Array };

/**
 * What of a range of user addresses is in RAM, as copies of pages that follow each other, up to
 * `most` bytes; of `wanted` frames only. `whole` is false where there is more, or tables could not be read.
 */
export function areaContent(
  kernel: Kernel,
  tables: PageTables,
  range: { readonly start: number; readonly end: number },
  most: number,
  budget: Budget,
  wanted: (physical: GuestPhysical) => boolean = () => true,
): { readonly pieces: readonly AreaPiece[]; readonly whole: boolean } {
  const pages: AreaPiece[] = [];
  let left = most;
  const ended = eachPresentPage(kernel.memory, tables, range, budget, (address, physical, size) => {
    if (!wanted(physical)) return;
    const length = Math.min(size, left);
    left -= size;
    const bytes = length > 0 ? kernel.memory.bytes(physical, length) : undefined;
    if (bytes !== undefined) pages.push({ address, bytes: Uint8Array.from(bytes) });
  });
  return { pieces: joined(pages), whole: ended && left >= 0 };
}

function joined(pages: readonly AreaPiece[]): AreaPiece[] {
  const runs: AreaPiece[][] = [];
  let end = Number.NaN;
  for (const page of pages) {
    if (page.address === end) runs.at(-1)!.push(page);
    else runs.push([page]);
    end = page.address + page.bytes.length;
  }
  return runs.map((run) => ({
    address: run[0]!.address,
    bytes: run.length === 1 ? run[0]!.bytes : Buffer.concat(run.map(({ bytes }) => bytes)),
  }));
}
