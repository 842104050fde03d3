import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { QmpConnection } from "../qmp/connection.ts";

/** A picture of the guest's display. */
export type Screenshot =
  | { readonly file: string; readonly reason?: undefined }
  | { readonly file: null; readonly reason: string };

/**
 * Has QEMU draw the guest's display into a PNG file (7.1 and later). A guest without a display has
 * none, and a QEMU of another user may not be able to write there: that is told, and no failure.
 */
export async function takeScreenshot(monitor: QmpConnection, path: string): Promise<Screenshot> {
  try {
    // It has to be there already: QEMU's umask is not ours.
    writeFileSync(path, "", { mode: 0o600 });
    await monitor.execute("screendump", { filename: path, format: "png" });
    if (isPng(path)) return { file: basename(path) };
    return without(path, "QEMU wrote no picture");
  } catch (error) {
    // Nothing else of a capture is given up for a picture.
    return without(path, error instanceof Error ? error.message : String(error));
  }
}

function isPng(path: string): boolean {
  const size = statSync(path).size;
  return size > 8 && readFileSync(path).subarray(1, 4).toString("latin1") === "PNG";
}

function without(path: string, reason: string): Screenshot {
  if (existsSync(path)) rmSync(path);
  return { file: null, reason };
}
