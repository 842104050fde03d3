import { KvmsecError } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";

/** Why a command or a connection to a QEMU monitor failed. */
export const qmpErrorCodes = {
  /** There is no socket at that path. */
  noSocket: "KVMSEC_QMP_NO_SOCKET",
  /** The socket is there, and nobody listens on it. */
  refused: "KVMSEC_QMP_REFUSED",
  /** The socket belongs to someone else. */
  denied: "KVMSEC_QMP_DENIED",
  /** The monitor serves another client, or QEMU's main loop hangs. */
  busy: "KVMSEC_QMP_BUSY",
  /** The other end does not speak QMP. */
  protocol: "KVMSEC_QMP_PROTOCOL",
  /** The connection ended before the answer came. */
  closed: "KVMSEC_QMP_CLOSED",
  /** QEMU did not answer within the time limit; the command may still be carried out. */
  timeout: "KVMSEC_QMP_TIMEOUT",
  /** This QEMU does not know the command. */
  unsupported: "KVMSEC_QMP_UNSUPPORTED",
  /** QEMU refused the command. */
  failed: "KVMSEC_QMP_COMMAND_FAILED",
} as const satisfies Record<string, ErrorCode>;

/** QEMU's own words on a refused command (docs/interop/qmp-spec: `class` and `desc`). */
export class QmpCommandError extends KvmsecError {
  readonly command: string;
  readonly errorClass: string;
  readonly description: string;

  constructor(command: string, errorClass: string, description: string) {
    const unknown = errorClass === "CommandNotFound";
    super(
      unknown ? qmpErrorCodes.unsupported : qmpErrorCodes.failed,
      unknown
        ? `This QEMU has no QMP command ${command}.`
        : `QEMU refused ${command}: ${description}`,
      unknown ? { hint: "A newer QEMU may have it." } : {},
    );
    this.command = command;
    this.errorClass = errorClass;
    this.description = description;
  }
}

/** Remembers where a command was called, so that an error which comes later can tell. */
export class CallSite {
  readonly #holder: { stack?: string } = {};

  /** `below` and all frames above it are left out. */
  constructor(below: (...args: never[]) => unknown) {
    Error.captureStackTrace(this.#holder, below);
  }

  /** Gives the error the caller's stack instead of the socket handler's. */
  mark<E extends Error>(error: E): E {
    const frames = (this.#holder.stack ?? "").split("\n").slice(1).join("\n");
    error.stack = `${error.name}: ${error.message}\n${frames}`;
    return error;
  }
}
