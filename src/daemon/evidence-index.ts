import { lstatSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { readHolds } from "../evidence/holds.ts";
import type { Hold } from "../evidence/holds.ts";
import { planPrune } from "../evidence/retention.ts";
import type { PrunePlan, Retention } from "../evidence/retention.ts";
import { readManifest } from "../evidence/verify.ts";
import type { Store } from "../store/store.ts";
import type { Home } from "../vm/home.ts";

/** A package that lies on this host. */
export type IndexedPackage = {
  readonly folder: string;
  readonly id: string;
  /** `capture`, or `end`: what an abnormal end has left. */
  readonly kind: string;
  readonly guest: string | null;
  readonly madeAt: Date;
  readonly bytes: number;
  readonly verdict: string;
  readonly hold: Hold | undefined;
};

/**
 * Every package of this home that is still where it was made: those that the store knows, and what
 * else lies in the evidence folder. What has no manifest (or half of one) is none.
 */
export function listEvidence(home: Home, store: Store, root?: string): IndexedPackage[] {
  const holds = readHolds(home);
  const known = store.all("SELECT folder FROM evidence").map(({ folder }) => String(folder));
  const folders = new Set([...known, ...foldersIn(root ?? join(home.root, "evidence"))]);
  return [...folders]
    .flatMap((folder) => describe(folder, holds))
    .toSorted((a, b) => +a.madeAt - +b.madeAt);
}

function foldersIn(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/\.partial-|\.pruned-/.test(entry.name))
      .map(({ name }) => join(root, name));
  } catch {
    return [];
  }
}

function describe(folder: string, holds: ReadonlyMap<string, Hold>): IndexedPackage[] {
  try {
    const { manifest } = readManifest(folder);
    const { id, createdAt, facts } = manifest;
    const madeAt = new Date(createdAt);
    if (Number.isNaN(+madeAt)) return [];
    const kind = facts["kind"] === "end" ? "end" : "capture";
    const guest = typeof facts["target"] === "string" ? facts["target"] : null;
    const verdict = String(facts["verdict"] ?? "unknown");
    const bytes = bytesOf(folder);
    return [{ folder, id, kind, guest, madeAt, bytes, verdict, hold: holds.get(id) }];
  } catch (error) {
    // What is just being deleted is no package any more.
    if (error instanceof KvmsecError || systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** What it takes on the disk: holes take nothing. */
function bytesOf(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.reduce((sum, entry) => {
    const status = lstatSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false });
    return sum + (status?.blocks ?? 0) * 512;
  }, 0);
}

/** What retention would delete, by the packages as they lie there. */
export function planEvidence(
  packages: readonly IndexedPackage[],
  retention: Retention,
  now = new Date(),
): PrunePlan {
  const stored = packages.map(({ hold, ...rest }) => ({ ...rest, held: hold !== undefined }));
  return planPrune(stored, retention, now);
}

/**
 * Deletes one package, unless it was put under hold by now. Half of one is never seen: it is renamed
 * first. Returns whether it is gone.
 */
export function removePackage(home: Home, { folder, id }: { folder: string; id: string }): boolean {
  if (readHolds(home).has(id)) return false;
  // Not by its id: anybody may have written the manifest, and with it a path.
  const aside = join(dirname(folder), `.${basename(folder)}.pruned-${process.pid}`);
  renameSync(folder, aside);
  rmSync(aside, { recursive: true, force: true });
  return true;
}
