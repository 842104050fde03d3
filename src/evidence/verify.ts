import { createPublicKey, verify } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KvmsecError, systemCode } from "../base/errors.ts";
import {
  chainLink,
  FIRST_LINK,
  hashFile,
  MANIFEST,
  packageFiles,
  SIGNATURE,
  signatureText,
} from "./manifest.ts";
import type { Manifest, PackageFile, Signature } from "./manifest.ts";
import { fingerprint } from "./signing-key.ts";

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
};

/** Hashes every file anew and compares. Throws KVMSEC_EVIDENCE_UNREADABLE where there is no package. */
export async function verifyPackage(folder: string): Promise<Verification> {
  const { manifest, text } = readManifest(folder);
  const signer = signerOf(folder, text);
  const faults: Fault[] = signer === undefined ? [{ path: MANIFEST, fault: "unsigned" }] : [];
  const present = new Set(packageFiles(folder));
  let chain = FIRST_LINK;
  for (const file of manifest.files) {
    if (!present.delete(file.path)) {
      faults.push({ path: file.path, fault: "missing" });
    } else if (!(await isSame(folder, file))) faults.push({ path: file.path, fault: "changed" });
    chain = chainLink(chain, file.path, file);
    if (chain !== file.chain) faults.push({ path: file.path, fault: "chain" });
    chain = file.chain;
  }
  for (const path of present) faults.push({ path, fault: "added" });
  return { manifest, faults, signer };
}

/** The manifest, unverified. */
export function readManifest(folder: string): { manifest: Manifest; text: Buffer } {
  const path = join(folder, MANIFEST);
  let text: Buffer;
  try {
    text = readFileSync(path);
  } catch (error) {
    throw unreadable(
      folder,
      systemCode(error) === "ENOENT" ? `it has no ${MANIFEST}` : String(error),
    );
  }
  const manifest = parse<Manifest>(text.toString(), "kvmsec.evidence/1");
  if (manifest === undefined || !Array.isArray(manifest.files)) {
    throw unreadable(folder, `its ${MANIFEST} is no manifest`);
  }
  return { manifest, text };
}

async function isSame(folder: string, file: PackageFile): Promise<boolean> {
  const path = join(folder, file.path);
  // A link would lead the hash to another file than the one that was packed.
  if (!lstatSync(path).isFile()) return false;
  const { size, sha256 } = await hashFile(path);
  return size === file.size && sha256 === file.sha256;
}

/** The fingerprint of the key whose signature fits, or undefined. */
function signerOf(folder: string, manifest: Buffer): string | undefined {
  try {
    const text = readFileSync(join(folder, SIGNATURE), "utf8");
    const signed = parse<Signature>(text, "kvmsec.evidence-signature/1");
    if (signed === undefined) return undefined;
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

function parse<Document extends { schema: string }>(
  text: string,
  schema: Document["schema"],
): Document | undefined {
  try {
    const value = JSON.parse(text) as Document | null;
    return value?.schema === schema ? value : undefined;
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
