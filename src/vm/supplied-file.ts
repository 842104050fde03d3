import { readFile } from "node:fs/promises";
import { systemCode, usageError } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";

/** What a user's file about a kernel may be: what it has to hold, and what to give instead. */
export type SuppliedKind<File> = {
  readonly code: ErrorCode;
  readonly holds: string;
  readonly hint: string;
  parse(bytes: Uint8Array): { ok: true; file: File } | { ok: false; reason: string };
};

/** Reads such a file; throws the kind's own code (exit status 2) with the reason. */
export async function suppliedFile<File>(path: string, kind: SuppliedKind<File>): Promise<File> {
  const parsed = kind.parse(await contents(path, kind));
  if (parsed.ok) return parsed.file;
  throw unreadable(path, kind, parsed.reason);
}

async function contents(path: string, kind: SuppliedKind<unknown>): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, kind, systemCode(error) ?? String(error));
  }
}

function unreadable(
  path: string,
  { code, holds, hint }: SuppliedKind<unknown>,
  reason: string,
): Error {
  return usageError(code, `${path} holds no ${holds} that can be read: ${reason}.`, hint);
}
