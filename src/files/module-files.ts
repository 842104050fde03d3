import { allElfNotes, gnuBuildId, parseElf } from "../formats/elf.ts";
import { unpackFile } from "../formats/unpack.ts";
import type { FindModuleFile, ModuleFile } from "../linux/module-file.ts";
import { filesBelow } from "./file-tree.ts";
import type { FileTree } from "./file-tree.ts";

/** Where modules of a release lie: a folder that holds `modules.dep`. */
export type ModuleFolder = { readonly tree: FileTree; readonly path: string };

/** Graphics drivers with their debugging symbols come near. */
const MAX_MODULE = 256 * 2 ** 20;
const MAX_INDEX = 32 * 2 ** 20;
/** Files of one name that are tried. */
const MAX_TWINS = 8;

/** Finds modules by name and build id in the folders of one kernel's modules. */
export function moduleFinder(folders: readonly ModuleFolder[], otherwise: string): FindModuleFile {
  const indexes = new Map<ModuleFolder, ReadonlyMap<string, readonly string[]>>();
  return (name, buildId) => {
    const reasons: string[] = [];
    for (const folder of folders) {
      const index = indexes.get(folder) ?? indexModules(folder);
      indexes.set(folder, index);
      for (const path of index.get(name) ?? []) {
        const found = readModule(folder.tree, path, buildId);
        if ("bytes" in found) return found;
        reasons.push(`${folder.tree.name}: ${path}: ${found.missing}`);
      }
    }
    const searched = folders.map(({ tree, path }) => `${tree.name}${path}`).join(", ");
    const nowhere = folders.length === 0 ? otherwise : `there is none of that name in ${searched}`;
    return { missing: reasons.length === 0 ? nowhere : reasons.join("; ") };
  };
}

function readModule(
  tree: FileTree,
  path: string,
  buildId: string,
): ModuleFile | { readonly missing: string } {
  const packed = tree.read(path, MAX_MODULE);
  if ("missing" in packed) return packed;
  const unpacked = unpackFile(packed.bytes, MAX_MODULE);
  if (!unpacked.ok) return { missing: unpacked.reason };
  const { bytes } = unpacked;
  const parsed = parseElf(bytes);
  if (!parsed.ok) return { missing: parsed.reason };
  const found = gnuBuildId(allElfNotes(bytes, parsed.elf));
  if (found === buildId) return { bytes, from: `${tree.name}: ${path}` };
  return { missing: `it has ${found === undefined ? "no build id" : `build id ${found}`}` };
}

/** Paths of each module's files, by its name. */
function indexModules({ tree, path }: ModuleFolder): Map<string, string[]> {
  const index = new Map<string, string[]>();
  for (const file of modulePaths(tree, path)) {
    const name = moduleName(file);
    if (name === undefined) continue;
    const twins = index.get(name) ?? [];
    if (twins.length < MAX_TWINS) twins.push(file);
    index.set(name, twins);
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
