import { KvmsecError } from "../base/errors.ts";
import type { DumpFile } from "./dump-file.ts";
import { writersOf } from "./file-writers.ts";

const SALVAGE = "Make it again, or open it with salvage to read what is there.";

/** An error for a dump that ends too early; names the process that is still writing, if one is. */
export function truncated(file: DumpFile, reason: string): KvmsecError {
  return (
    beingWritten(file) ??
    new KvmsecError("KVMSEC_DUMP_TRUNCATED", `The dump ${file.path} is cut short: ${reason}.`, {
      hint: SALVAGE,
    })
  );
}

/** An error for a file that some process has open for writing, or undefined where none is seen. */
export function beingWritten(file: DumpFile): KvmsecError | undefined {
  const [writer] = writersOf(file.identity);
  if (writer === undefined) return undefined;
  return new KvmsecError(
    "KVMSEC_DUMP_BEING_WRITTEN",
    `${file.path} is open for writing in process ${writer.pid} (${writer.name}).`,
    {
      hint: writer.name.startsWith("qemu")
        ? `Wait until the dump is complete, or look at the running guest itself with pid:${writer.pid}.`
        : "Wait until that process is done.",
    },
  );
}

export function changing(file: DumpFile): KvmsecError {
  return new KvmsecError(
    "KVMSEC_DUMP_BEING_WRITTEN",
    `${file.path} changed while it was being opened.`,
    { hint: "Wait until the dump is complete, then try again." },
  );
}

export function damaged(file: DumpFile, reason: string): KvmsecError {
  return new KvmsecError("KVMSEC_DUMP_DAMAGED", `The dump ${file.path} is damaged: ${reason}.`, {
    hint: SALVAGE,
  });
}

export function unsupported(file: DumpFile, reason: string, hint: string): KvmsecError {
  return new KvmsecError("KVMSEC_DUMP_UNSUPPORTED", `${file.path} cannot be read: ${reason}.`, {
    hint,
  });
}

export function foreign(file: DumpFile, what: string, hint?: string): KvmsecError {
  return new KvmsecError("KVMSEC_DUMP_FOREIGN", `${file.path} is ${what}, not a memory dump.`, {
    hint:
      hint ??
      "Give an ELF core or kdump file of dump-guest-memory, or a LiME, AVML or raw memory image.",
  });
}
