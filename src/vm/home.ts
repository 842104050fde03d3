import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseDocument } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { KvmsecError, systemCode, usageError } from "../base/errors.ts";

/**
 * Where kvmsec keeps its state: `$KVMSEC_HOME`, else /var/lib/kvmsec for root and
 * ~/.local/share/kvmsec for others. The folders in it are their owner's alone (0700).
 *
 *     images/NAME/        a golden image, never changed once it is there
 *       image.json          what it is and what it was made of (`kvmsec.image/1`)
 *       disk.qcow2          the disk, read-only
 *       vmlinuz initrd.img  copies of its kernel and initrd, for direct boot
 *       packages.txt        name and version of every package in it
 *     images/.build-…/     an image in the making, named after its maker's pid
 *     vms/NAME/           a virtual machine
 *       vm.json             what it is (`kvmsec.vm-config/1`)
 *       disk.qcow2          its own changes, over the image's disk
 *       run.json            pid, start time and sockets of its QEMU, while it runs
 *       monitor.qmp         QMP for the monitor (the daemon), one client at a time
 *       operator.qmp        QMP for the command line, one client at a time
 *       console.sock        the serial console, one client at a time
 *       qemu.log qemu.pid   what QEMU said; QEMU's own pid file
 *       packets/N.pcap      its packets, where they are kept, the newest under the highest number
 *       packets.json        that they are kept, how many of them, and of which run
 *       lock console.lock packets.lock   held by the command that works on it, by who sits at the console
 *     vms/.deleted-…/      remains of a deletion that was cut short
 *     packets.lock        held by the process that keeps packets within their bounds
 *     logs/               what tools said when something failed
 */
export type Home = {
  readonly root: string;
  readonly images: string;
  readonly vms: string;
  readonly logs: string;
};

/** The home of this user, made where it is missing. Throws KVMSEC_HOME_UNSAFE, KVMSEC_HOME_UNUSABLE. */
export function openHome(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Home {
  const home = homeAt(homePath(environment));
  const { root } = home;
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    mustBeSafe(root);
    for (const folder of [home.images, home.vms, home.logs]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    if (error instanceof KvmsecError) throw error;
    throw new KvmsecError("KVMSEC_HOME_UNUSABLE", `Cannot use ${root}: ${String(error)}`, {
      hint: "Set KVMSEC_HOME to a folder of yours.",
      cause: error,
    });
  }
  return home;
}

/** The folders of the home at `root`, whether or not they are there. */
export function homeAt(root: string): Home {
  return {
    root,
    images: join(root, "images"),
    vms: join(root, "vms"),
    logs: join(root, "logs"),
  };
}

/** Where the home of this user is or would be; makes nothing. */
export function homePath(environment: Readonly<Record<string, string | undefined>>): string {
  const named = environment["KVMSEC_HOME"];
  if (named !== undefined && named !== "") {
    if (named.startsWith("/")) return named;
    throw usageError("KVMSEC_HOME_UNUSABLE", "KVMSEC_HOME must be an absolute path.");
  }
  return process.geteuid?.() === 0
    ? "/var/lib/kvmsec"
    : join(environment["HOME"] ?? homedir(), ".local/share/kvmsec");
}

/** Whoever may write here could swap a golden image or a socket. */
function mustBeSafe(root: string): void {
  const { uid, mode } = statSync(root);
  const mine = process.geteuid?.();
  if (uid !== mine && uid !== 0) {
    throw unsafe(root, `belongs to user ${uid}`, "Set KVMSEC_HOME to a folder of yours.");
  }
  if ((mode & 0o022) !== 0) throw unsafe(root, "may be written by others", `chmod go-w '${root}'`);
}

function unsafe(root: string, why: string, hint: string): KvmsecError {
  return new KvmsecError("KVMSEC_HOME_UNSAFE", `${root} ${why}`, { hint });
}

/** Writes a file so that a reader sees the old text or the new one, and a crash leaves one of them. */
export function writeAtomically(path: string, text: string): void {
  const partial = `${path}.${process.pid}.new`;
  try {
    writeFileSync(partial, text, { mode: 0o600, flush: true });
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** The document of that kind, or undefined where the file is missing. Throws KVMSEC_STATE_DAMAGED. */
export function readDocument<Document extends object>(
  path: string,
  kind: DocumentKind<Document>,
): Document | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
    throw error;
  }
  const document = parseDocument(text, kind);
  if (typeof document !== "string") return document;
  throw stateDamaged(path, document);
}

/** Told of a VM or an image whose documents are damaged. */
export type Damage = (name: string, error: KvmsecError) => void;

/** What can be read of each. What cannot is told to `damage`, or else thrown: it takes no other with it. */
export function readEach<One>(
  names: readonly string[],
  read: (name: string) => One | undefined,
  damage: Damage = raise,
): One[] {
  return names.flatMap((name) => {
    try {
      return read(name) ?? [];
    } catch (error) {
      if (!(error instanceof KvmsecError)) throw error;
      damage(name, error);
      return [];
    }
  });
}

function raise(_name: string, error: KvmsecError): never {
  throw error;
}

/** Says that a file of the home is not what kvmsec wrote there. */
export function stateDamaged(path: string, why: string): KvmsecError {
  return new KvmsecError("KVMSEC_STATE_DAMAGED", `${path} cannot be used: ${why}.`, {
    hint: "It was written by another kvmsec or damaged: remove it, or restore it from a backup.",
  });
}

/** Writes a JSON document for `readDocument`. */
export function writeDocumentFile<Document extends { schema: string }>(
  path: string,
  document: Document,
): void {
  writeAtomically(path, `${JSON.stringify(document, undefined, 2)}\n`);
}
