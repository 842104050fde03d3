import { parentPort, workerData } from "node:worker_threads";
import type { Extent } from "../native/mmap.ts";
import { WriteProtection } from "../native/write-protection.ts";
import type { ProtectionHandle } from "../native/write-protection.ts";
import { copyBehind } from "./copy-behind.ts";
import type { BehindFiles } from "./copy-behind.ts";

/** What the thread is started with. */
export type CopyTask = { readonly handle: ProtectionHandle; readonly files: BehindFiles };

/*
 * A thread of its own: the guest's main loop may wait for a page, and then nobody who waits for an
 * answer of its monitor could serve it.
 */
const { handle, files } = workerData as CopyTask;
parentPort?.once("message", (extents: readonly Extent[]) => {
  // The descriptor belongs to the thread that started us.
  parentPort?.postMessage(copyBehind(new WriteProtection(handle), files, extents));
});
parentPort?.postMessage("ready");
