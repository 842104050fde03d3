import { allElfNotes, gnuBuildId, parseElf } from "../formats/elf.ts";
import { unpackFile } from "../formats/unpack.ts";
import type { ModuleFile } from "../linux/module-file.ts";
import { filesBelow } from "./file-tree.ts";
import type { FileTree } from "./file-tree.ts";
import { HostTree } from "./host-tree.ts";
import { PageCacheTree } from "./page-cache-tree.ts";

/** Where the files of modules can be read. */
export type ModuleSources = {
  /** Names the folder of modules. */
  readonly release: string;
  /** A folder of the host that holds what /lib/modules/RELEASE does. */
  readonly modulesDir: string | undefined;
  /** File systems of the guest; `problem` is told of those that cannot be read. */
  trees(problem: (reason: string) => void): Iterable<FileTree>;
};

type Missing = { readonly missing: string };
/** Paths of the files of each module, by its name. */
type Index = ReadonlyMap<string, readonly string[]>;

/** The largest graphics driver has 30 MB; with its debugging symbols it comes near. */
const MAX_MODULE = 128 * 2 ** 20;
/** What is unpacked within AGAIN_MS at most: a hostile guest shall not keep us busy. */
const MAX_UNPACKED = 512 * 2 ** 20;
const MAX_INDEX = 32 * 2 ** 20;
/** Files of one name that are tried. */
const MAX_TWINS = 4;
/** So long it is remembered where files lie, and what was not found: the disk may change, or have lagged. */
const AGAIN_MS = 30_000;
const MAX_REASONS = 4;

/** Finds modules by name and build id, and remembers where they lie. */
export class ModuleFinder {
  readonly #sources: ModuleSources;
  readonly #indexes = new Map<string, { readonly index: Index; readonly until: number }>();
  #unpacked = { bytes: 0, until: 0 };
  readonly #missed = new Map<string, Missing & { readonly until: number }>();

  constructor(sources: ModuleSources) {
    this.#sources = sources;
  }

  find(name: string, buildId: string): ModuleFile | Missing {
    const key = `${name} ${buildId}`;
    const missed = this.#missed.get(key);
    if (missed !== undefined && performance.now() < missed.until)
      return { missing: missed.missing };
    this.#missed.delete(key);
    const found = this.#look(name, buildId);
    if ("missing" in found) {
      this.#missed.set(key, { ...found, until: performance.now() + AGAIN_MS });
    }
    return found;
  }

  #look(name: string, buildId: string): ModuleFile | Missing {
    const reasons: string[] = [];
    const problems: string[] = [];
    for (const tree of this.#trees((problem) => problems.push(problem))) {
      for (const path of this.#index(tree).get(name) ?? []) {
        const found = readModule(tree, path, buildId, (bytes) => this.#unpack(bytes));
        if ("bytes" in found) return found;
        reasons.push(`${tree.name}: ${path}: ${found.missing}`);
      }
    }
    const all = [...reasons, ...problems].slice(0, MAX_REASONS).join("; ");
    if (reasons.length > 0) return { missing: all };
    return {
      missing: all === "" ? "no file of that name was found" : `no file was found (${all})`,
    };
  }

  #unpack(packed: Uint8Array): ReturnType<typeof unpackFile> {
    const now = performance.now();
    if (now > this.#unpacked.until) this.#unpacked = { bytes: 0, until: now + AGAIN_MS };
    const left = MAX_UNPACKED - this.#unpacked.bytes;
    if (left <= 0) return { ok: false, reason: "too much was unpacked for this guest already" };
    const unpacked = unpackFile(packed, Math.min(left, MAX_MODULE));
    // What turns out to be damaged costs about as much as if it were not.
    this.#unpacked.bytes += unpacked.ok ? unpacked.bytes.length : packed.length * 8;
    return unpacked;
  }

  /** What the user named comes first. */
  *#trees(problem: (reason: string) => void): Generator<FileTree> {
    const { modulesDir } = this.#sources;
    if (modulesDir !== undefined) yield new HostTree(modulesDir);
    yield* this.#sources.trees(problem);
  }

  #index(tree: FileTree): Index {
    const known = this.#indexes.get(tree.name);
    const now = performance.now();
    if (known !== undefined && now < known.until) return known.index;
    const index = indexModules(pathLists(tree, this.#sources.release));
    this.#indexes.set(tree.name, { index, until: now + AGAIN_MS });
    return index;
  }
}

/** Where modules are: the first list that names any counts, since the next may be links to it. */
function pathLists(tree: FileTree, release: string): Iterable<string>[] {
  if (tree instanceof PageCacheTree) return [tree.paths];
  // A folder of the host is the modules' own.
  if (tree instanceof HostTree) return [modulePaths(tree, "")];
  const folders = [`/usr/lib/modules/${release}`, `/lib/modules/${release}`];
  return folders.map((folder) => modulePaths(tree, folder));
}

function readModule(
  tree: FileTree,
  path: string,
  buildId: string,
  unpack: (packed: Uint8Array) => ReturnType<typeof unpackFile>,
): ModuleFile | Missing {
  const packed = tree.read(path, MAX_MODULE);
  if ("missing" in packed) return packed;
  const unpacked = unpack(packed.bytes);
  if (!unpacked.ok) return { missing: unpacked.reason };
  const { bytes } = unpacked;
  const parsed = parseElf(bytes);
  if (!parsed.ok) return { missing: parsed.reason };
  const found = gnuBuildId(allElfNotes(bytes, parsed.elf));
  if (found === buildId) return { bytes, from: `${tree.name}: ${path}` };
  return { missing: `it has ${found === undefined ? "no build id" : `build id ${found}`}` };
}

function indexModules(lists: readonly Iterable<string>[]): Index {
  const index = new Map<string, string[]>();
  for (const paths of lists) {
    for (const path of paths) {
      const name = moduleName(path);
      if (name === undefined) continue;
      const twins = index.get(name) ?? [];
      if (twins.length < MAX_TWINS) twins.push(path);
      index.set(name, twins);
    }
    if (index.size > 0) break;
  }
  return index;
}

/** From modules.dep, whose lines are `kernel/fs/fuse/fuse.ko.xz: kernel/…`; without it by a walk. */
function* modulePaths(tree: FileTree, folder: string): Generator<string> {
  const list = tree.read(`${folder}/modules.dep`, MAX_INDEX);
  if ("missing" in list) {
    yield* filesBelow(tree, folder);
    return;
  }
  for (const line of Buffer.from(list.bytes).toString("latin1").split("\n")) {
    const end = line.indexOf(":");
    // depmod writes paths from the root for modules that lie elsewhere (modules.dep(5)).
    if (end > 0)
      yield line.startsWith("/") ? line.slice(0, end) : `${folder}/${line.slice(0, end)}`;
  }
}

/** The name under which the kernel holds it: KBUILD_MODNAME has no dashes (scripts/Makefile.lib). */
function moduleName(path: string): string | undefined {
  const [, name] = /([^/]+)\.ko(?:\.(?:gz|xz|zst))?$/.exec(path) ?? [];
  return name?.replaceAll("-", "_");
}
