import { createPublicKey, verify } from "node:crypto";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "../base/document.ts";
import { KvmsecError, systemCode } from "../base/errors.ts";
import {
  chainLink,
  FIRST_LINK,
  hashFile,
  MANIFEST,
  manifestKind,
  packageFiles,
  SIGNATURE,
  signatureKind,
  signatureText,
  STORAGE,
} from "./manifest.ts";
import type { Manifest, PackageFile } from "./manifest.ts";
import { unpackFile } from "./packing.ts";
import { readDocument } from "./regular-file.ts";
import { fingerprint } from "./signing-key.ts";
import { readStorage, storedName } from "./storage.ts";
import type { StoredFile } from "./storage.ts";

/** What is wrong with one file of a package. */
export type Fault = {
  readonly path: string;
  readonly fault: "changed" | "missing" | "added" | "unsigned" | "chain";
};

/** What a look at a whole package says. It needs nothing but the package. */
export type Verification = {
  readonly manifest: Manifest;
  readonly faults: readonly Fault[];
  /** SHA-256 of the key that signed; whether it is one that is trusted only its reader can tell. */
  readonly signer: string | undefined;
  /** The same of who compressed files of it later. */
  readonly packer: string | undefined;
};

/**
 * Hashes every file anew and compares; of a compressed one both what lies there and what it unpacks
 * to. Throws KVMSEC_EVIDENCE_UNREADABLE where there is no package.
 */
export async function verifyPackage(folder: string): Promise<Verification> {
  const { manifest, text } = readManifest(folder);
  const signer = signerOf(folder, text);
  const faults: Fault[] = signer === undefined ? [{ path: MANIFEST, fault: "unsigned" }] : [];
  const storage = readStorage(folder, text);
  if (storage.kind === "unsigned") faults.push({ path: STORAGE, fault: "unsigned" });
  const listed = storage.kind === "packed" ? storage.files : [];
  const stored = new Map(listed.map((file) => [file.path, file]));
  const present = new Set(packageFiles(folder));
  let chain = FIRST_LINK;
  for (const file of manifest.files) {
    faults.push(...(await fileFaults(folder, file, present, stored.get(file.path))));
    chain = chainLink(chain, file.path, file);
    if (chain !== file.chain) faults.push({ path: file.path, fault: "chain" });
    chain = file.chain;
  }
  for (const path of present) faults.push({ path, fault: "added" });
  const packer = storage.kind === "packed" ? storage.signer : undefined;
  return { manifest, faults, signer, packer };
}

/** Looks at a file in each form in which it lies there, and takes those from `present`. */
async function fileFaults(
  folder: string,
  file: PackageFile,
  present: Set<string>,
  listed: StoredFile | undefined,
): Promise<Fault[]> {
  const packed = storedName(file.path);
  const here = present.delete(file.path);
  const packedHere = listed?.stored === packed && present.delete(packed);
  // Whoever packs or unpacks it just now has put the other form there first.
  const plain = here ? await isSame(folder, file) : "gone";
  const form = packedHere || plain === "gone" ? await isSamePacked(folder, file, listed) : "gone";
  if (plain === "gone" && form === "gone") return [{ path: file.path, fault: "missing" }];
  const faults: Fault[] = [];
  if (plain === false) faults.push({ path: file.path, fault: "changed" });
  if (form === false) faults.push({ path: packed, fault: "changed" });
  return faults;
}

/** The manifest, unverified. */
export function readManifest(folder: string): { manifest: Manifest; text: Buffer } {
  const path = join(folder, MANIFEST);
  let text: Buffer;
  try {
    text = readDocument(path);
  } catch (error) {
    throw unreadable(
      folder,
      systemCode(error) === "ENOENT" ? `it has no ${MANIFEST}` : String(error),
    );
  }
  const manifest = parseDocument(text.toString(), manifestKind);
  if (typeof manifest !== "string") return { manifest, text };
  throw unreadable(folder, `its ${MANIFEST} is no manifest (${manifest})`);
}

type Same = boolean | "gone";

function isSame(folder: string, { path, size, sha256 }: PackageFile): Promise<Same> {
  return lookAt(join(folder, path), async (place) => {
    const hashed = await hashFile(place);
    return hashed.size === size && hashed.sha256 === sha256;
  });
}

function isSamePacked(
  folder: string,
  { path, size, sha256 }: PackageFile,
  listed: StoredFile | undefined,
): Promise<Same> {
  return lookAt(join(folder, storedName(path)), async (place) => {
    const { stored, content } = await unpackFile(place);
    const known = listed ?? stored;
    const asStored = stored.size === known.size && stored.sha256 === known.sha256;
    return asStored && content?.size === size && content.sha256 === sha256;
  });
}

async function lookAt(path: string, look: (path: string) => Promise<boolean>): Promise<Same> {
  try {
    // A link would lead the hash to another file than the one that was packed.
    return lstatSync(path).isFile() && (await look(path));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "gone";
    throw error;
  }
}

/** The fingerprint of the key whose signature fits, or undefined. */
export function signerOf(folder: string, manifest: Buffer): string | undefined {
  try {
    const text = readDocument(join(folder, SIGNATURE)).toString();
    const signed = parseDocument(text, signatureKind);
    if (typeof signed === "string") return undefined;
    const key = createPublicKey(signed.publicKey);
    const signature = Buffer.from(signed.signature, "base64");
    // Base64, PEM and JSON can write the same in many ways; only one of them was written.
    const written = signatureText({
      schema: "kvmsec.evidence-signature/1",
      algorithm: "Ed25519",
      publicKey: key.export({ type: "spki", format: "pem" }).toString(),
      signature: signature.toString("base64"),
    });
    return text === written && verify(null, manifest, key, signature)
      ? fingerprint(signed.publicKey)
      : undefined;
  } catch {
    return undefined;
  }
}

function unreadable(folder: string, why: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_EVIDENCE_UNREADABLE",
    `${folder} is no evidence package: ${why}.`,
    {
      hint: "Name the folder that 'kvmsec capture TARGET -o DIR' made.",
    },
  );
}
