import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { syncPath } from "../base/durable.ts";
import { KvmsecError } from "../base/errors.ts";
import { writeSparse } from "../memory/sparse-write.ts";
import type { Home } from "../vm/home.ts";
import { MANIFEST, packageFiles, STORAGE } from "./manifest.ts";
import type { PackageFile } from "./manifest.ts";
import { packFile, unpackFile } from "./packing.ts";
import { readStorage, storedName, writeStorage } from "./storage.ts";
import type { StoredFile } from "./storage.ts";
import { readManifest, signerOf } from "./verify.ts";

/** Smaller files are left for people to read. */
const WORTH_IT = 64 * 2 ** 10;

/** What was packed or unpacked. */
export type StorageChange = {
  readonly files: number;
  /** What these files hold. */
  readonly contentBytes: number;
  /** What they take packed. */
  readonly storedBytes: number;
};

export type CompressOptions = {
  /** A folder beside the package for what is in the making; it is made and removed. */
  readonly work: string;
  readonly onFile?: ((path: string) => void) | undefined;
};

/**
 * Packs the large files of a package. Each is packed beside the package, unpacked again and compared
 * with what was signed; then the record (storage.ts) is put into the package, the packed files beside
 * the others, and last the others are removed. So whoever dies at any point leaves a package that
 * verifies: no file goes before its other form is there and on the disk.
 * Throws KVMSEC_EVIDENCE_CHANGED where a file is not what was signed.
 */
export async function compressPackage(
  home: Home,
  folder: string,
  { work, onFile = () => {} }: CompressOptions,
): Promise<StorageChange> {
  const { manifest, text } = readManifest(folder);
  if (signerOf(folder, text) === undefined) throw changed(folder, MANIFEST);
  const present = filesOf(folder);
  const before = filesPacked(folder, text);
  const known = new Set(before.map(({ path }) => path));
  const made: { readonly file: PackageFile; readonly stored: StoredFile }[] = [];
  mkdirSync(work, { mode: 0o700 });
  try {
    for (const file of manifest.files) {
      if (file.size < WORTH_IT || known.has(file.path) || !present.has(file.path)) continue;
      onFile(file.path);
      const target = join(work, String(made.length));
      const stored = await packProved(folder, file, target);
      if (stored === undefined) rmSync(target);
      else made.push({ file, stored });
    }
    if (made.length > 0) {
      const record = join(work, STORAGE);
      writeStorage(home, record, text, [...before, ...made.map(({ stored }) => stored)]);
      renameSync(record, join(folder, STORAGE));
      for (const [index, { stored }] of made.entries()) {
        renameSync(join(work, String(index)), join(folder, stored.stored));
      }
      syncFolders(
        folder,
        made.map(({ file }) => file),
      );
      for (const { file } of made) rmSync(join(folder, file.path));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return changeOf(made);
}

/** Undefined where packing would gain next to nothing. */
async function packProved(
  folder: string,
  file: PackageFile,
  target: string,
): Promise<StoredFile | undefined> {
  const { content, stored } = await packFile(join(folder, file.path), target);
  if (content.sha256 !== file.sha256) throw changed(folder, file.path);
  if (stored.size > file.size * 0.95) return undefined;
  const proof = await unpackFile(target);
  if (proof.content?.sha256 !== file.sha256 || proof.stored.sha256 !== stored.sha256) {
    throw changed(folder, file.path);
  }
  return { path: file.path, stored: storedName(file.path), ...stored };
}

/**
 * Unpacks what was packed: afterwards the package is byte for byte what was signed. In the same
 * order: no packed file goes before its content is proved, there, and on the disk.
 */
export async function expandPackage(
  folder: string,
  { work, onFile = () => {} }: CompressOptions,
): Promise<StorageChange> {
  const { manifest, text } = readManifest(folder);
  const done: { readonly file: PackageFile; readonly stored: StoredFile }[] = [];
  mkdirSync(work, { mode: 0o700 });
  try {
    for (const stored of filesPacked(folder, text)) {
      const file = manifest.files.find(({ path }) => path === stored.path);
      if (file === undefined) continue;
      onFile(file.path);
      const target = join(work, String(done.length));
      await unpackProved(folder, file, target);
      done.push({ file, stored });
    }
    for (const [index, { file }] of done.entries()) {
      renameSync(join(work, String(index)), join(folder, file.path));
    }
    syncFolders(
      folder,
      done.map(({ file }) => file),
    );
    for (const { file } of done) rmSync(join(folder, storedName(file.path)));
    rmSync(join(folder, STORAGE), { force: true });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return changeOf(done);
}

async function unpackProved(folder: string, file: PackageFile, target: string): Promise<void> {
  const fd = openSync(target, "wx", 0o600);
  try {
    const packed = join(folder, storedName(file.path));
    const { content } = await unpackFile(packed, (bytes, at) => void writeSparse(fd, bytes, at));
    if (content?.sha256 !== file.sha256) throw changed(folder, storedName(file.path));
    ftruncateSync(fd, file.size);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Where a crash or a kill has left a file in both forms, the one that was signed stays. A record that
 * was changed is left to `verify`.
 */
export function settleStorage(folder: string): void {
  const storage = readStorage(folder, readManifest(folder).text);
  const present = filesOf(folder);
  for (const { path } of storage.kind === "packed" ? storage.files : []) {
    const packed = storedName(path);
    if (present.has(path) && present.has(packed)) rmSync(join(folder, packed));
  }
}

/** What the record lists and is packed there. */
function filesPacked(folder: string, manifest: Uint8Array): StoredFile[] {
  const storage = readStorage(folder, manifest);
  if (storage.kind === "plain") return [];
  if (storage.kind === "unsigned") throw changed(folder, STORAGE);
  const present = filesOf(folder);
  return storage.files.filter(({ path }) => present.has(storedName(path)));
}

/** Files in the folder itself: anybody may have written the manifest, and links into a package. */
function filesOf(folder: string): Set<string> {
  return new Set(packageFiles(folder).filter((path) => lstatSync(join(folder, path)).isFile()));
}

/** Puts on the disk which files the folders of the package hold. */
function syncFolders(folder: string, files: readonly PackageFile[]): void {
  for (const name of new Set([".", ...files.map(({ path }) => dirname(path))])) {
    syncPath(join(folder, name));
  }
}

function changeOf(done: readonly { file: PackageFile; stored: StoredFile }[]): StorageChange {
  return {
    files: done.length,
    contentBytes: done.reduce((sum, { file }) => sum + file.size, 0),
    storedBytes: done.reduce((sum, { stored }) => sum + stored.size, 0),
  };
}

function changed(folder: string, path: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_EVIDENCE_CHANGED",
    `${path} of ${folder} is not what was signed, so it is left as it is.`,
    { hint: `kvmsec evidence verify ${folder} names all that was changed.`, exit: 1 },
  );
}
