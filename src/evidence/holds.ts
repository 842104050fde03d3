import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { KvmsecError } from "../base/errors.ts";
import { readDocument, writeDocumentFile } from "../vm/home.ts";
import type { Home } from "../vm/home.ts";

/** Why a package must not be deleted, and who says so. */
export type Hold = {
  readonly schema: "kvmsec.evidence-hold/1";
  /** The package's id, as its manifest has it: a package that is moved stays under hold. */
  readonly id: string;
  readonly by: string;
  readonly note: string;
  readonly at: string;
};

const holdKind: DocumentKind<Hold> = documentKind("kvmsec.evidence-hold/1", {
  id: z.string(),
  by: z.string(),
  note: z.string(),
  at: z.string(),
});

/** Puts a package under hold. What was said before is replaced. */
export function holdPackage(home: Home, hold: Omit<Hold, "schema">): void {
  mkdirSync(folderOf(home), { recursive: true, mode: 0o700 });
  writeDocumentFile(pathOf(home, hold.id), { schema: "kvmsec.evidence-hold/1", ...hold });
}

/** Takes the hold away; false where there was none. */
export function releasePackage(home: Home, id: string): boolean {
  const path = pathOf(home, id);
  if (!existsSync(path)) return false;
  rmSync(path);
  return true;
}

/**
 * All holds, by the packages' ids. A hold that cannot be read holds all the same, so nothing is
 * deleted for a damaged file. Throws what the disk says where the folder cannot be read.
 */
export function readHolds(home: Home): Map<string, Hold> {
  const holds = new Map<string, Hold>();
  if (!existsSync(folderOf(home))) return holds;
  for (const name of readdirSync(folderOf(home))) {
    const id = /^([0-9a-f-]{36})\.json$/.exec(name)?.[1];
    if (id === undefined) continue;
    holds.set(id, readHold(home, id));
  }
  return holds;
}

function readHold(home: Home, id: string): Hold {
  const unread = { by: "?", note: "the hold's file cannot be read", at: "" };
  const otherwise: Hold = { schema: "kvmsec.evidence-hold/1", id, ...unread };
  try {
    return readDocument(pathOf(home, id), holdKind) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function folderOf({ root }: Home): string {
  return join(root, "holds");
}

/** The id comes from a package's manifest, which anybody may have written. */
function pathOf(home: Home, id: string): string {
  if (/^[0-9a-f-]{36}$/.test(id)) return join(folderOf(home), `${id}.json`);
  throw new KvmsecError("KVMSEC_EVIDENCE_UNREADABLE", `"${id}" is no id of a package.`);
}
