import { join } from "node:path";
import { KvmsecError, usageError } from "../base/errors.ts";
import { homePath, readDocument } from "./home.ts";
import { checkedName } from "./name.ts";
import { listQemuProcesses, qemuProcess } from "./qemu-process.ts";
import type { QemuProcess } from "./qemu-process.ts";
import type { VmConfig } from "./vm-state.ts";

/** What a user may name: a running QEMU, or a file with a guest's memory. */
export type Target =
  | { readonly kind: "qemu"; readonly text: string; readonly qemu: QemuProcess }
  | { readonly kind: "file"; readonly text: string; readonly path: string };

/**
 * Finds the target that `text` names: `pid:1234`, `file:PATH`, `qmp:PATH`, `libvirt:DOMAIN`, or
 * the name of a running guest; among several of a name the one of the user's own home is meant.
 * Throws KVMSEC_TARGET_UNKNOWN, KVMSEC_TARGET_AMBIGUOUS, KVMSEC_TARGET_NOT_QEMU (exit status 2 or 3).
 */
export function findTarget(text: string): Target {
  const [, scheme, rest] = /^(pid|file|qmp|libvirt):(.*)$/s.exec(text) ?? [];
  switch (scheme) {
    case "pid":
      return { kind: "qemu", text, qemu: byPid(rest) };
    case "file":
      return { kind: "file", text, path: rest };
    case "qmp":
      return { kind: "qemu", text, qemu: byQmpSocket(rest) };
    case "libvirt":
      return { kind: "qemu", text, qemu: byDomain(rest) };
    default:
      return { kind: "qemu", text, qemu: byName(text, "guest") };
  }
}

function byPid(text: string): QemuProcess {
  if (!/^[1-9]\d{0,9}$/.test(text)) {
    throw usageError("KVMSEC_TARGET_UNKNOWN", `"${text}" is no process id.`, "Write pid:1234.");
  }
  const qemu = qemuProcess(Number(text));
  if (qemu !== undefined) return qemu;
  throw new KvmsecError("KVMSEC_TARGET_NOT_QEMU", `Process ${text} is no running QEMU.`, {
    hint: "kvmsec targets lists the guests that run.",
  });
}

function byQmpSocket(path: string): QemuProcess {
  return theOnly(
    listQemuProcesses().filter((qemu) => qemu.arguments.qmpSockets.includes(path)),
    `No running QEMU serves QMP at ${path}.`,
    path,
  );
}

/** By its name or its UUID, as virsh takes it; libvirt gives QEMU both. No libvirt is asked. */
function byDomain(domain: string): QemuProcess {
  const isUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(domain);
  const found = isUuid
    ? listQemuProcesses().filter(
        (qemu) => qemu.arguments.uuid?.toLowerCase() === domain.toLowerCase(),
      )
    : [];
  return found.length > 0 ? theOnly(found, "", domain) : byName(domain, "libvirt domain");
}

function byName(name: string, what: string): QemuProcess {
  const found = listQemuProcesses().filter((qemu) => qemu.arguments.name === name);
  const mine =
    found.length > 1 ? found.filter(({ arguments: { uuid } }) => isMine(name, uuid)) : [];
  return theOnly(mine.length === 1 ? mine : found, `No running ${what} is called "${name}".`, name);
}

/** Whether the UUID is that of the VM of this name in the user's home: QEMU was given it. */
function isMine(name: string, uuid: string | undefined): boolean {
  if (uuid === undefined) return false;
  try {
    const path = join(homePath(process.env), "vms", checkedName(name), "vm.json");
    return readDocument<VmConfig>(path, "kvmsec.vm-config/1")?.uuid === uuid;
  } catch {
    return false; // a home that others closed to us has no guests of ours
  }
}

function theOnly(found: readonly QemuProcess[], none: string, text: string): QemuProcess {
  if (found.length === 1) return found[0];
  if (found.length === 0) {
    throw new KvmsecError("KVMSEC_TARGET_UNKNOWN", none, {
      hint: "kvmsec targets lists the guests that run; pid:1234 names any QEMU, file:PATH a memory dump.",
    });
  }
  const pids = found.map(({ pid }) => `pid:${pid}`).join(", ");
  throw usageError(
    "KVMSEC_TARGET_AMBIGUOUS",
    `"${text}" names several guests.`,
    `Name one: ${pids}.`,
  );
}
