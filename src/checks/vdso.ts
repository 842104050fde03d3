import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import { hexBytes } from "../base/hex.ts";
import type { LegalTargets } from "../linux/kernel-text/legal-forms.ts";
import { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import { VdsoCode } from "../linux/kernel-text/vdso-code.ts";
import { vdsoImages } from "../linux/vdso.ts";
import type { VdsoImage } from "../linux/vdso.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import type { Check, CheckContext } from "./check.ts";
import { reportCode } from "./code-report.ts";
import { legalTargets } from "./legal-targets.ts";
import { executableMemory } from "./memory-facts.ts";
import type { ProcessMemory } from "./memory-facts.ts";

const SHOWN = 32;

/** The code that the kernel lends to every process is the kernel file's, and every process has that. */
export const vdso: Check = {
  id: "vdso",
  proves:
    "The pages of each vDSO are those of the kernel file with its alternatives applied, and each process that has a vDSO mapped has the kernel's own pages or an unchanged copy of them.",
  reads:
    "vdso64, vdso32 and vdsox32 images and the kernel file; the vDSO mapping and page tables of every process",
  attack: ["T1055", "T1014"],
  limits:
    "Without the kernel file the images themselves are not compared. A process that unmapped its vDSO, or put something else in its place, is for injected-code.",
  run(context) {
    const { kernel, facts } = context;
    const images = vdsoImages(kernel, (reason) => context.unseen(reason));
    if (images.length === 0) context.unseen("the kernel has no vDSO that is known");
    checkImages(context, images);
    const { rows, problems } = facts.get(executableMemory);
    for (const problem of problems) context.unseen(problem);
    const finder = mappedImage(context, images);
    for (const memory of rows) {
      const mapped = finder(memory);
      if (mapped !== undefined) checkProcess(context, memory, mapped);
    }
  },
};

/** Comparisons remember what they verified, and belong to the comparison of the kernel as a whole. */
const known = new WeakMap<TextIntegrity, ReadonlyMap<string, TextIntegrity>>();

function checkImages(context: CheckContext, images: readonly VdsoImage[]): void {
  const { kernel, facts } = context;
  const { text, textMissing } = facts.host;
  if (text === undefined) {
    context.cover(0, images.length);
    context.unseen(`the images are not compared: ${textMissing ?? "no kernel file was given"}`);
    return;
  }
  const comparisons =
    known.get(text) ??
    new Map(
      images.map((each) => [each.name, new TextIntegrity(kernel, new VdsoCode(text.file, each))]),
    );
  known.set(text, comparisons);
  const { targets } = facts.get(legalTargets);
  for (const image of images) checkImage(context, image, comparisons.get(image.name), targets);
}

function checkImage(
  context: CheckContext,
  { name, data, size }: VdsoImage,
  comparison: TextIntegrity | undefined,
  targets: LegalTargets,
): void {
  let unread = 0;
  const changes = comparison?.changes({ start: data, size }, targets, () => unread++) ?? [];
  const pages = size / PAGE_SIZE;
  context.cover(pages - unread, pages);
  if (unread > 0) context.unseen(`${unread} pages of ${name} are not in memory`);
  for (const change of changes) {
    const offset = `+0x${(change.address - data).toString(16)}`;
    reportCode(context, change, `Code that every process gets (${name}${offset})`);
  }
}

type Mapped = { readonly image: VdsoImage; readonly start: number };

/** Finds which image a process has mapped, and where; undefined where it has none any more. */
function mappedImage(
  { kernel }: CheckContext,
  images: readonly VdsoImage[],
): (memory: ProcessMemory) => Mapped | undefined {
  const address = kernel.reader("mm_struct", "context.vdso");
  const imageOf = kernel.reader("mm_struct", "context.vdso_image");
  const mapping = kernel.symbol("vdso_mapping");
  const privateData = kernel.reader("vm_area_struct", "vm_private_data");
  return ({ mm, areas }) => {
    const image = images.find((each) => each.image === imageOf(mm));
    const start = address(mm);
    const area = areas.find((each) => each.special && each.start === start);
    if (image === undefined || area === undefined) return undefined;
    return privateData(area.vma) === mapping ? { image, start } : undefined;
  };
}

function checkProcess(
  context: CheckContext,
  { process, tables }: ProcessMemory,
  { image, start }: Mapped,
): void {
  const { space } = context.kernel;
  const pages = image.size / PAGE_SIZE;
  context.cover(pages);
  for (let page = 0; page < image.size; page += PAGE_SIZE) {
    const seen = tables.physical(start + page);
    const own = space.physical(image.data + page);
    // Pages come at the first access.
    if (seen < 0 || seen === own) continue;
    const bytes = pageAt(space.memory, seen);
    const expected = pageAt(space.memory, own);
    if (bytes === undefined || expected === undefined) {
      context.unseen(`a page of ${image.name} in process ${process.pid} is not in memory`);
      continue;
    }
    // A debugger that took its breakpoints back leaves a copy that is the same.
    const first = bytes.findIndex((byte, index) => byte !== expected[index]);
    if (first < 0) continue;
    const last = bytes.findLastIndex((byte, index) => byte !== expected[index]);
    context.report({
      severity: "high",
      confidence: "medium",
      title: `Process ${process.pid} (${process.comm}) has a changed ${image.name} of its own, at +0x${(page + first).toString(16)}.`,
      subject: { pid: process.pid, task: context.kernel.format(process.task) },
      evidence: {
        address: `0x${(start + page + first).toString(16)}`,
        physical: `0x${seen.toString(16)}`,
        kernelsOwn: `0x${own.toString(16)}`,
        length: last + 1 - first,
        expected: hexBytes(expected.subarray(first, Math.min(last + 1, first + SHOWN))),
        seen: hexBytes(bytes.subarray(first, Math.min(last + 1, first + SHOWN))),
      },
    });
  }
}

/** A copy: memory that is read page by page may reuse the place for the next one. */
function pageAt(memory: PhysicalMemory, page: GuestPhysical): Uint8Array | undefined {
  const at = memory.offsetOf(page);
  return at < 0 ? undefined : Uint8Array.from(memory.u8.subarray(at, at + PAGE_SIZE));
}
