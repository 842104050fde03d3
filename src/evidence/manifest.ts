import { createHash, sign } from "node:crypto";
import { createReadStream, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { syncPath } from "../base/durable.ts";
import type { Home } from "../vm/home.ts";
import { publicPem, signingKey } from "./signing-key.ts";

export const MANIFEST = "manifest.json";
export const SIGNATURE = "manifest.sig.json";
/** Which files lie there compressed (storage.ts); not there where none does. */
export const STORAGE = "storage.json";

const OWN_FILES: ReadonlySet<string> = new Set([MANIFEST, SIGNATURE, STORAGE]);

/** A file of a package. */
export type PackageFile = {
  /** From the package's folder, with `/`. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  /** SHA-256 of the link before (64 zeros first), path, size and hash: no file can be left out. */
  readonly chain: string;
};

/** What manifest.json says. */
export type Manifest = {
  readonly schema: "kvmsec.evidence/1";
  readonly id: string;
  readonly createdAt: string;
  /** What was captured, how, and what it cost. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly files: readonly PackageFile[];
};

export const manifestKind: DocumentKind<Manifest> = documentKind("kvmsec.evidence/1", {
  id: z.string(),
  createdAt: z.string(),
  facts: z.record(z.string(), z.unknown()),
  files: z.array(
    z.object({
      path: z.string(),
      size: z.int().nonnegative(),
      sha256: z.string(),
      chain: z.string(),
    }),
  ),
});

export type Signature = {
  readonly schema: "kvmsec.evidence-signature/1";
  readonly algorithm: "Ed25519";
  readonly publicKey: string;
  /** Over the bytes of manifest.json, in base64. */
  readonly signature: string;
};

export const signatureKind: DocumentKind<Signature> = documentKind("kvmsec.evidence-signature/1", {
  algorithm: z.literal("Ed25519"),
  publicKey: z.string(),
  signature: z.string(),
});

const FIRST = "0".repeat(64);

/** Hashes every file of a folder, and writes its manifest and the manifest's signature. */
export async function sealPackage(
  home: Home,
  folder: string,
  id: string,
  facts: Manifest["facts"],
): Promise<Manifest> {
  const files: PackageFile[] = [];
  let chain = FIRST;
  for (const path of packageFiles(folder)) {
    const hashed = await hashFile(join(folder, path));
    // What is signed has to be there after the host's lights went out, too.
    syncPath(join(folder, path));
    chain = chainLink(chain, path, hashed);
    files.push({ path, ...hashed, chain });
  }
  const createdAt = new Date().toISOString();
  const manifest: Manifest = { schema: "kvmsec.evidence/1", id, createdAt, facts, files };
  const text = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
  writeFileSync(join(folder, MANIFEST), text, { mode: 0o600, flush: true });
  const key = signingKey(home);
  const signature: Signature = {
    schema: "kvmsec.evidence-signature/1",
    algorithm: "Ed25519",
    publicKey: publicPem(key),
    signature: sign(null, text, key).toString("base64"),
  };
  writeFileSync(join(folder, SIGNATURE), signatureText(signature), { mode: 0o600, flush: true });
  syncPath(folder);
  return manifest;
}

/** The one form in which a signature is written: any other is a changed one. */
export function signatureText({ schema, algorithm, publicKey, signature }: Signature): string {
  return `${JSON.stringify({ schema, algorithm, publicKey, signature }, undefined, 2)}\n`;
}

/** Every file of a package but those that are about the others, sorted. */
export function packageFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, "/").length))
    .filter((path) => !OWN_FILES.has(path))
    .toSorted();
}

/** Size and SHA-256 of some bytes. */
export type Hashed = { readonly size: number; readonly sha256: string };

/** Size and hash of a file. */
export async function hashFile(path: string): Promise<Hashed> {
  const hash = createHash("sha256");
  let size = 0;
  const source = createReadStream(path, { highWaterMark: 2 ** 20 });
  await pipeline(source, async (pieces: AsyncIterable<Buffer>) => {
    for await (const piece of pieces) {
      size += piece.length;
      hash.update(piece);
    }
  });
  return { size, sha256: hash.digest("hex") };
}

export function chainLink(
  before: string,
  path: string,
  { size, sha256 }: { size: number; sha256: string },
): string {
  return createHash("sha256")
    .update(JSON.stringify([before, path, size, sha256]))
    .digest("hex");
}

export { FIRST as FIRST_LINK };
