import { parentPort, workerData } from "node:worker_threads";
import { WriteProtection } from "../native/write-protection.ts";
import type { ProtectionHandle } from "../native/write-protection.ts";
import { CopyBehind } from "./copy-behind.ts";
import type { BehindFiles } from "./copy-behind.ts";

/** What the thread is started with. `moment` becomes 1 when the guest stands still to be copied. */
export type CopyTask = {
  readonly handle: ProtectionHandle;
  readonly files: BehindFiles;
  readonly moment: Int32Array;
};

/** What it says, in this order; at last the result. */
export type CopyWord = "ready" | "protected" | "protected again";

/** A page that nobody told us of is looked for so often while the guest runs on unprotected. */
const LOOK_MS = 1;

/*
 * A thread of its own: the guest's main loop may wait for a page, and then nobody who waits for an
 * answer of its monitor could serve it.
 */
const { handle, files, moment } = workerData as CopyTask;
const say = (word: CopyWord): void => parentPort?.postMessage(word);
parentPort?.once("message", () => {
  // The descriptor belongs to the thread that started us.
  const copy = new CopyBehind(new WriteProtection(handle), files);
  copy.protect();
  say("protected");
  while (Atomics.load(moment, 0) === 0) {
    copy.letGo();
    Atomics.wait(moment, 0, 0, LOOK_MS);
  }
  copy.protectAgain();
  say("protected again");
  parentPort?.postMessage(copy.copy());
});
say("ready");
