import { KvmsecError, usageError } from "../base/errors.ts";
import { homeAt, homePath } from "./home.ts";
import type { Home } from "./home.ts";
import { isName } from "./name.ts";
import { listQemuProcesses, qemuProcess } from "./qemu-process.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { findConfig, findRun } from "./vm-state.ts";
import type { VmConfig } from "./vm-state.ts";

/** What a user may name: a running QEMU, or a file with a guest's memory. */
export type Target =
  | { readonly kind: "qemu"; readonly text: string; readonly qemu: QemuProcess }
  | { readonly kind: "file"; readonly text: string; readonly path: string };

/**
 * Finds the target that `text` names: `pid:1234`, `file:PATH`, `qmp:PATH`, `libvirt:DOMAIN`, or
 * the name of a running guest, a VM of this home first.
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
      return { kind: "qemu", text, qemu: ownVm(text) ?? byName(text, "guest") };
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

/**
 * A VM of this user's home is meant before any other guest of that name: somebody else's QEMU may
 * call itself whatever it likes. Throws KVMSEC_TARGET_UNKNOWN where it is there and does not run.
 */
function ownVm(name: string): QemuProcess | undefined {
  const home = homeAt(homePath(process.env));
  const config = isName(name) ? configIfReadable(home, name) : undefined;
  if (config === undefined) return undefined;
  const run = findRun(home, config);
  const qemu = run === undefined ? undefined : qemuProcess(run.pid);
  if (qemu !== undefined) return qemu;
  throw new KvmsecError("KVMSEC_TARGET_UNKNOWN", `The VM ${name} does not run.`, {
    hint: `kvmsec vm start ${name}`,
  });
}

/** A home that others closed to us has no guests of ours. */
function configIfReadable(home: Home, name: string): VmConfig | undefined {
  try {
    return findConfig(home, name);
  } catch (error) {
    if (error instanceof KvmsecError) throw error;
    return undefined;
  }
}

function byName(name: string, what: string): QemuProcess {
  return theOnly(
    listQemuProcesses().filter((qemu) => qemu.arguments.name === name),
    `No running ${what} is called "${name}".`,
    name,
  );
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
