import { createHash, createPublicKey, sign, verify } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Home } from "../vm/home.ts";
import { STORAGE } from "./manifest.ts";
import { readDocument } from "./regular-file.ts";
import { fingerprint, publicPem, signingKey } from "./signing-key.ts";

/** A file of a package in the form in which it lies there. */
export type StoredFile = {
  /** As the manifest names it. */
  readonly path: string;
  /** The packed file, beside its place. */
  readonly stored: string;
  readonly size: number;
  readonly sha256: string;
};

/**
 * What storage.json says: which files of a package were packed after it had been signed.
 *
 * The manifest and its signature stay as they were made with the capture: they are about content,
 * and the hash of a packed file's content still has to be the one that was signed. So who captured
 * can be proved of a package that somebody else has compressed, the chain of hashes means what it
 * meant, and unpacking gives back the very folder that was signed. This record only adds which bytes
 * that content was packed into, so that a changed byte is named even where it would unpack to the
 * same; its signature is that of who packed.
 */
export type StorageRecord = {
  readonly schema: "kvmsec.evidence-storage/1";
  readonly codec: "zstd";
  /** SHA-256 of manifest.json. */
  readonly manifest: string;
  readonly files: readonly StoredFile[];
};

type SignedRecord = StorageRecord & {
  readonly algorithm: "Ed25519";
  readonly publicKey: string;
  /** Over the record without these three, as JSON, in base64. */
  readonly signature: string;
};

/** What a package says of its storage. */
export type Storage =
  | { readonly kind: "plain" }
  /** Its record is no such record, was changed, or belongs to another manifest. */
  | { readonly kind: "unsigned" }
  | { readonly kind: "packed"; readonly files: readonly StoredFile[]; readonly signer: string };

/** The name of a file's packed form. */
export function storedName(path: string): string {
  return `${path}.zst`;
}

/** Writes the record of a package's packed files, signed with this home's key. */
export function writeStorage(
  home: Home,
  path: string,
  manifest: Uint8Array,
  files: readonly StoredFile[],
): void {
  const record = recordOf(hashOf(manifest), files);
  const key = signingKey(home);
  const signature = sign(null, signedBytes(record), key).toString("base64");
  const text = textOf({ ...record, algorithm: "Ed25519", publicKey: publicPem(key), signature });
  writeFileSync(path, text, { mode: 0o600, flush: true });
}

/** Reads it; the bytes of the package's manifest say whether it belongs to it. */
export function readStorage(folder: string, manifest: Uint8Array): Storage {
  let text: string;
  try {
    text = readDocument(join(folder, STORAGE)).toString();
  } catch (error) {
    return { kind: systemCode(error) === "ENOENT" ? "plain" : "unsigned" };
  }
  try {
    return proved(text, manifest) ?? { kind: "unsigned" };
  } catch {
    // Another form of JSON or of a key than any that is written here.
    return { kind: "unsigned" };
  }
}

function proved(text: string, manifest: Uint8Array): Storage | undefined {
  const read = JSON.parse(text) as SignedRecord;
  const record = recordOf(hashOf(manifest), read.files);
  const key = createPublicKey(read.publicKey);
  const signature = Buffer.from(read.signature, "base64");
  const publicKey = key.export({ type: "spki", format: "pem" }).toString();
  const algorithm = "Ed25519" as const;
  const signed = { ...record, algorithm, publicKey, signature: signature.toString("base64") };
  // JSON, PEM and base64 can write the same in many ways; only one of them was written.
  if (text !== textOf(signed)) return undefined;
  if (!verify(null, signedBytes(record), key, signature)) return undefined;
  return { kind: "packed", files: record.files, signer: fingerprint(publicKey) };
}

function recordOf(manifest: string, files: readonly StoredFile[]): StorageRecord {
  return {
    schema: "kvmsec.evidence-storage/1",
    codec: "zstd",
    manifest,
    files: files.map(({ path, stored, size, sha256 }) => ({ path, stored, size, sha256 })),
  };
}

const signedBytes = (record: StorageRecord): Buffer => Buffer.from(JSON.stringify(record));
const textOf = (record: SignedRecord): string => `${JSON.stringify(record, undefined, 2)}\n`;

function hashOf(manifest: Uint8Array): string {
  return createHash("sha256").update(manifest).digest("hex");
}
