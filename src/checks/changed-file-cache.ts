import { createHash } from "node:crypto";
import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import { PT_LOAD } from "../formats/elf-program.ts";
import { FileIdentities } from "../linux/file-on-disk.ts";
import type { FileIdentity, FileOnDisk } from "../linux/file-on-disk.ts";
import { ProgramFiles } from "../linux/program-file.ts";
import type { ProgramFile } from "../linux/program-file.ts";
import type { Check, CheckContext } from "./check.ts";
import { executableMemory, mappedFiles } from "./memory-facts.ts";

const MOST_SHOWN = 8;
const SHOWN_BYTES = 16;

/** Code of running programs is in memory what it is on the disk. */
export const changedFileCache: Check = {
  id: "changed-file-cache",
  proves:
    "Each page of code of a mapped program or library in the page cache, if it is not marked as changed, has the bytes that lie on the guest's disk.",
  reads:
    "the page cache of all mapped programs and libraries; their files on the guest's disks (ext2 to ext4)",
  attack: ["T1055", "T1574", "T1565.001"],
  limits:
    "Only files of ext file systems on disks that the host can read, and only as they lie there: a file that changed a moment ago is left out until its inode is on the disk. A file that was changed on the disk as well is left to the checks of files.",
  costly: true,
  run(context) {
    const { problems } = context.facts.get(executableMemory);
    for (const problem of problems) context.unseen(problem);
    const { filesOnDisk } = context.facts.host;
    const programs = mappedPrograms(context);
    const found = filesOnDisk?.(programs.map(({ identity }) => identity)) ?? [];
    const comparer = new Comparer(context);
    for (const [index, program] of programs.entries()) {
      const disk = found[index];
      if (disk === undefined || "missing" in disk) context.cover(0, 1);
      else comparer.compare(program, disk);
    }
    // A guest whose programs lie in memory only has nothing to compare.
    if (programs.length === 0) context.cover(1);
  },
};

type MappedProgram = {
  readonly path: string;
  readonly mapping: GuestVirtual;
  readonly program: ProgramFile;
  readonly identity: FileIdentity;
};

/** Each file once, whatever names and processes it has. */
function mappedPrograms(context: CheckContext): MappedProgram[] {
  const { kernel, facts } = context;
  const identities = new FileIdentities(kernel);
  const programs = new ProgramFiles(kernel);
  const files = facts.get(mappedFiles);
  const host = kernel.reader("address_space", "host");
  const found = new Map<GuestVirtual, MappedProgram>();
  for (const { areas } of facts.get(executableMemory).rows) {
    for (const { file } of areas) {
      const mapped = file === 0 ? undefined : files.of(file);
      if (mapped === undefined || found.has(mapped.mapping)) continue;
      const identity = identities.of(host(mapped.mapping));
      const program = identity === undefined ? undefined : programs.of(mapped.mapping);
      if (identity !== undefined && program !== undefined) {
        found.set(mapped.mapping, { ...mapped, program, identity });
      }
    }
  }
  return [...found.values()];
}

class Comparer {
  readonly #context: CheckContext;
  readonly #programs: ProgramFiles;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#programs = new ProgramFiles(context.kernel);
  }

  compare({ path, mapping, program, identity }: MappedProgram, disk: FileOnDisk): void {
    const wrong: number[] = [];
    for (const index of codePages(program, identity.size)) {
      const digest = disk.digest(index);
      const page = digest === undefined ? undefined : this.#cleanPage(mapping, index);
      if (page === undefined || digest === undefined) continue;
      if (!createHash("sha256").update(page).digest().equals(digest)) wrong.push(index);
    }
    this.#context.cover(1);
    if (wrong.length > 0) this.#report(path, mapping, disk, wrong, identity);
  }

  /** A page that is cached and, by the kernel's own marks, the same as on the disk. */
  #cleanPage(mapping: GuestVirtual, index: number): Uint8Array | undefined {
    const { cache } = this.#programs;
    const folio = cache.folioAt(mapping, index);
    if (!(folio < 0) || cache.frames.isChanged(folio)) return undefined;
    return this.#programs.page(mapping, index);
  }

  #report(
    path: string,
    mapping: GuestVirtual,
    { from }: FileOnDisk,
    wrong: readonly number[],
    identity: FileIdentity,
  ): void {
    this.#context.report({
      severity: "high",
      confidence: "high",
      title: `Code of ${path} was changed in memory: ${wrong.length} of its pages differ from the disk.`,
      subject: { path, inode: identity.inode, fileSystem: identity.uuid },
      evidence: {
        disk: from,
        pages: wrong.slice(0, MOST_SHOWN).map((index) => {
          const page = this.#programs.page(mapping, index);
          return {
            offset: `0x${(index * PAGE_SIZE).toString(16)}`,
            begins: Buffer.from(page?.subarray(0, SHOWN_BYTES) ?? []).toString("hex"),
          };
        }),
      },
    });
  }
}

/** Pages that hold code; by rising number. */
function codePages({ parts }: ProgramFile, size: number): Set<number> {
  const pages = new Set<number>();
  for (const { type, executable, writable, offset, size: length } of parts) {
    if (type !== PT_LOAD || !executable || writable) continue;
    const end = Math.min(offset + length, size);
    for (let at = Math.floor(offset / PAGE_SIZE); at * PAGE_SIZE < end; at++) pages.add(at);
  }
  return pages;
}
