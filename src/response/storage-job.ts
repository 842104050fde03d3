import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import { compressPackage, expandPackage, settleStorage } from "../evidence/compress.ts";
import type { StorageChange } from "../evidence/compress.ts";
import { readManifest } from "../evidence/verify.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { Home } from "../vm/home.ts";
import { lockHolder, signLock } from "../vm/vm-lock.ts";
import { runJob } from "./job.ts";
import type { PendingJob } from "./job.ts";
import { nobody } from "./restore.ts";

export type StorageAction = "compress" | "expand";
export type StorageOptions = { readonly onStage?: ((text: string) => void) | undefined };

/**
 * Packs or unpacks the files of a package, journalled before it starts. Of two at work on one package
 * the second is refused (KVMSEC_EVIDENCE_BUSY).
 */
export async function changeStorage(
  home: Home,
  folder: string,
  action: StorageAction,
  { onStage = () => {} }: StorageOptions = {},
): Promise<StorageChange> {
  const place = resolve(folder);
  const { facts } = readManifest(place).manifest;
  using held = new DisposableStack();
  held.use(lockPackage(home, place, action));
  const work = `${place}.partial-${randomUUID()}`;
  const text = typeof facts["target"] === "string" ? facts["target"] : place;
  const change = action === "compress" ? compressPackage : expand;
  const onFile = (path: string): void => onStage(`${verbs[action]} ${path}`);
  return await runJob(
    home,
    action,
    { text, identity: nobody },
    () => change(home, place, { work, onFile }),
    { folder: place, partial: work },
  );
}

const verbs: Readonly<Record<StorageAction, string>> = {
  compress: "compressing",
  expand: "unpacking",
};

const expand: typeof compressPackage = (_home, folder, options) => expandPackage(folder, options);

/**
 * After a death in between: what was in the making goes, and of a file that lies there in both forms
 * the packed one. That takes no time; who wants it done calls again.
 */
export function settleStorageJob(home: Home, { data }: PendingJob): "undone" | "gone" {
  const { folder, partial } = data as { folder: string; partial: string };
  if (/\.partial-[0-9a-f-]{36}$/.test(partial)) rmSync(partial, { recursive: true, force: true });
  if (!existsSync(folder)) return "gone";
  // Whoever is at work there by now sees to both forms.
  using lock = tryLockFile(lockPath(home, folder));
  if (lock !== undefined) settleStorage(folder);
  return "undone";
}

function lockPath(home: Home, place: string): string {
  const locks = join(home.root, "journal", "locks");
  mkdirSync(locks, { recursive: true, mode: 0o700 });
  return join(locks, `package-${createHash("sha256").update(place).digest("hex")}`);
}

function lockPackage(home: Home, place: string, doing: string): Disposable {
  const path = lockPath(home, place);
  const lock = tryLockFile(path);
  if (lock !== undefined) {
    signLock(lock, `evidence ${doing}`);
    return lock;
  }
  throw new KvmsecError("KVMSEC_EVIDENCE_BUSY", `${lockHolder(path)} is working on ${place}.`, {
    hint: "Wait for it to end, then try again.",
  });
}
