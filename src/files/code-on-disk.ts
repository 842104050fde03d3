import { createHash } from "node:crypto";
import type { FileSystem } from "../formats/disk/file-system.ts";
import type { FileIdentity, FileOnDisk } from "../linux/file-on-disk.ts";
import type { DiskTree } from "./disk-tree.ts";

const PAGE = 4096;
const DIGEST = 32;
/** The largest of the common ones, libLLVM, has 120 MB. */
const MAX_FILE = 512 * 2 ** 20;
const MAX_FILES = 4096;
/** What was not found is looked for again only after so long: it may be on its way to the disk. */
const AGAIN_MS = 30_000;

type Missing = { readonly missing: string };
type Known = { readonly found: FileOnDisk | Missing; readonly until: number };

/** Where file systems of a guest can be read. */
type Sources = { disks(problem: (reason: string) => void): Iterable<DiskTree> };

/** Files of a guest as they lie on its disks, by digests that are made once. */
export class CodeOnDisk {
  readonly #sources: Sources;
  readonly #known = new Map<string, Known>();

  constructor(sources: Sources) {
    this.#sources = sources;
  }

  /** As FindFilesOnDisk. */
  find(files: readonly FileIdentity[]): readonly (FileOnDisk | Missing)[] {
    const now = performance.now();
    const isOpen = (file: FileIdentity): boolean =>
      !((this.#known.get(keyOf(file))?.until ?? 0) > now);
    const wanted = new Map(files.filter(isOpen).map((file) => [keyOf(file), file]));
    if (wanted.size > 0) this.#look(wanted, now);
    return files.map(
      (file) => this.#known.get(keyOf(file))?.found ?? { missing: "it was not looked for" },
    );
  }

  #look(wanted: ReadonlyMap<string, FileIdentity>, now: number): void {
    if (this.#known.size > MAX_FILES) this.#known.clear();
    for (const key of wanted.keys()) {
      const found = { missing: "its file system is on no disk that can be read" };
      this.#known.set(key, { found, until: now + AGAIN_MS });
    }
    for (const tree of this.#sources.disks(() => {})) {
      for (const [key, file] of wanted) {
        if (file.uuid !== tree.fileSystem.uuid) continue;
        const found = readFile(tree.name, tree.fileSystem, file);
        const until = "missing" in found ? now + AGAIN_MS : Number.POSITIVE_INFINITY;
        this.#known.set(key, { found, until });
      }
    }
  }
}

function keyOf({ uuid, inode, generation, size, modified }: FileIdentity): string {
  return [uuid, inode, generation, size, modified].join("/");
}

function readFile(name: string, fileSystem: FileSystem, file: FileIdentity): FileOnDisk | Missing {
  const inode = fileSystem.inode(file.inode);
  const isSame =
    inode?.type === "file" &&
    inode.generation === file.generation &&
    inode.size === file.size &&
    inode.modified === file.modified;
  if (inode === undefined || !isSame) return { missing: "the disk has it otherwise, for now" };
  if (inode.size > MAX_FILE) return { missing: `it has ${inode.size} bytes` };
  const pages = new PageDigests(inode.size);
  let problem: string | undefined;
  for (const { length, bytes } of fileSystem.pieces(inode, (reason) => (problem = reason))) {
    if (bytes === "unwritten") return { missing: "part of it was not written to the disk" };
    pages.add(length, bytes === "hole" ? undefined : bytes);
  }
  if (problem !== undefined || !pages.complete) return { missing: problem ?? "it is cut short" };
  const { digests } = pages;
  return {
    from: name,
    digest: (index) =>
      index * DIGEST < digests.length
        ? digests.subarray(index * DIGEST, (index + 1) * DIGEST)
        : undefined,
  };
}

/** SHA-256 of the pages of a file that comes piece by piece. */
class PageDigests {
  readonly digests: Uint8Array;
  readonly #size: number;
  readonly #page = new Uint8Array(PAGE);
  #done = 0;

  constructor(size: number) {
    this.#size = size;
    this.digests = new Uint8Array(Math.ceil(size / PAGE) * DIGEST);
  }

  get complete(): boolean {
    return this.#done === this.#size;
  }

  /** Without bytes it is zeros. What lies behind the file's size is not taken. */
  add(length: number, bytes: Uint8Array | undefined): void {
    for (let at = 0; at < length && this.#done < this.#size;) {
      const within = this.#done % PAGE;
      const part = Math.min(PAGE - within, length - at, this.#size - this.#done);
      if (bytes !== undefined) this.#page.set(bytes.subarray(at, at + part), within);
      at += part;
      this.#done += part;
      if (this.#done % PAGE === 0 || this.#done === this.#size) this.#finishPage();
    }
  }

  #finishPage(): void {
    const index = Math.ceil(this.#done / PAGE) - 1;
    this.digests.set(createHash("sha256").update(this.#page).digest(), index * DIGEST);
    this.#page.fill(0);
  }
}
