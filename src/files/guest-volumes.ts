import { KvmsecError, usageError } from "../base/errors.ts";
import type { FileSystem } from "../formats/disk/file-system.ts";
import type { Guest } from "../vm/guest.ts";
import { DiskTree } from "./disk-tree.ts";
import type { FoundFile } from "./disk-tree.ts";
import { GuestDisks } from "./guest-disks.ts";
import { mountedFileSystems } from "./mounted-tree.ts";
import { volumesOf } from "./volumes.ts";
import type { Volume } from "./volumes.ts";

/** A guest's disks, for people who look into them. */
export class GuestVolumes implements Disposable {
  readonly volumes: readonly Volume[];
  /** Why some disks could not be read. */
  readonly problems: readonly string[];
  /** The readable ones by the path where the guest has mounted them, the root's "". */
  readonly mounted: ReadonlyMap<string, FileSystem>;
  readonly #opened: readonly GuestDisks[];

  /** Of a running guest those of its QEMU, and the images that the user named. */
  constructor({ target, kernel }: Guest, images: readonly string[]) {
    this.#opened = [
      ...(target.kind === "qemu" ? [GuestDisks.ofProcess(target.qemu)] : []),
      ...(images.length > 0 ? [GuestDisks.ofFiles(images)] : []),
    ];
    this.volumes = volumesOf(this.#opened.flatMap(({ disks }) => disks));
    const problems = this.#opened.flatMap((opened) => opened.problems);
    this.mounted = mountedFileSystems(kernel, this.volumes, (reason) => problems.push(reason));
    this.problems = problems;
  }

  /**
   * The file that a user named: a path in the guest, or `VOLUME:PATH` with the volume's id.
   * Throws KVMSEC_NO_VOLUME, KVMSEC_NO_FILE (usage).
   */
  find(name: string, followLast = true): FoundFile {
    const [, id, path = name] = /^([^/:][^:]*):(\/.*)$/s.exec(name) ?? [];
    const [tree, rest] =
      id === undefined ? this.#mountedTree(path) : [new DiskTree(id, this.#volume(id)), path];
    const found = tree.find(rest, followLast);
    if (typeof found !== "string") return found;
    throw usageError(
      "KVMSEC_NO_FILE",
      `${name}: ${found}.`,
      "kvmsec disk ls TARGET PATH lists a folder.",
    );
  }

  /** All that the guest has mounted, from its root; undefined where that cannot be read. */
  get root(): DiskTree | undefined {
    const root = this.mounted.get("");
    return root && new DiskTree("/", root, this.mounted);
  }

  [Symbol.dispose](): void {
    for (const opened of this.#opened) opened[Symbol.dispose]();
  }

  /** Where the root cannot be read, the file system that the path is on may still be. */
  #mountedTree(path: string): [tree: DiskTree, path: string] {
    const { root } = this;
    if (root !== undefined) return [root, path];
    const places = [...this.mounted].toSorted(([a], [b]) => b.length - a.length);
    const [place, fileSystem] = places.find(([one]) => `${path}/`.startsWith(`${one}/`)) ?? [];
    if (place !== undefined && fileSystem !== undefined) {
      return [new DiskTree(place, fileSystem), path.slice(place.length)];
    }
    throw new KvmsecError("KVMSEC_NO_VOLUME", `No disk that can be read holds ${path}.`, {
      hint: "kvmsec disk list TARGET shows the volumes; name a file by VOLUME:PATH.",
    });
  }

  #volume(id: string): FileSystem {
    const volume = this.volumes.find((one) => one.id === id);
    if (volume?.fileSystem !== undefined) return volume.fileSystem;
    const why = volume === undefined ? "There is none of that id" : volume.unreadable;
    throw usageError(
      "KVMSEC_NO_VOLUME",
      `Volume ${id} cannot be read: ${why ?? "it is empty"}.`,
      "kvmsec disk list TARGET shows which can.",
    );
  }
}
