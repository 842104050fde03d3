import { constants, setPriority } from "node:os";
import { KvmsecError } from "../base/errors.ts";
import { changeStorage } from "../response/storage-job.ts";
import { openHome } from "../vm/home.ts";
import type { WorkAnswer } from "./reaction-worker.ts";

/** The package that is to be packed. */
export type StorageOrder = { readonly folder: string };

// This file is the program that packs evidence. Everything else on the host comes first; the threads
// that it starts later take this on.
setPriority(constants.priority.PRIORITY_LOW);
process.on("disconnect", () => process.exit(0));
const { folder } = JSON.parse(process.argv[2] ?? "null") as StorageOrder;
process.on("message", () => {
  void answer().then((message) => process.send?.(message));
});

async function answer(): Promise<WorkAnswer> {
  try {
    return { ok: true, outcome: await changeStorage(openHome(), folder, "compress") };
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
  }
}
