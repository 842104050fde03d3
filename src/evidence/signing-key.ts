import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Home } from "../vm/home.ts";

/** The key with which this home signs its evidence: Ed25519, made at the first use, its owner's alone. */
export function signingKey(home: Home): KeyObject {
  const path = keyPath(home);
  return createPrivateKey(readKey(path) ?? makeKey(home, path));
}

/** The public half as PEM, or undefined where this home has never signed anything. */
export function ownPublicKey(home: Home): string | undefined {
  const key = readKey(keyPath(home));
  return key === undefined ? undefined : publicPem(createPrivateKey(key));
}

export function publicPem(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
}

/** SHA-256 of the key's DER form: what people compare. */
export function fingerprint(pem: string): string {
  const der = createPublicKey(pem).export({ type: "spki", format: "der" });
  return createHash("sha256").update(der).digest("hex");
}

function keyPath(home: Home): string {
  return join(home.root, "keys", "evidence.pem");
}

function readKey(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Of two makers at once one wins: a link is never made onto what is there. */
function makeKey(home: Home, path: string): string {
  mkdirSync(join(home.root, "keys"), { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const partial = `${path}.${process.pid}.new`;
  writeFileSync(partial, pem, { mode: 0o600, flush: true });
  try {
    linkSync(partial, path);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  } finally {
    rmSync(partial, { force: true });
  }
  return readFileSync(path, "utf8");
}
