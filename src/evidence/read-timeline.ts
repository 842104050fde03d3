import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "../base/document.ts";
import { KvmsecError } from "../base/errors.ts";
import { storedName } from "./storage.ts";
import { eachStored } from "./stored-file.ts";
import { timelineKind } from "./timeline.ts";
import type { Timeline } from "./timeline.ts";
import { readManifest } from "./verify.ts";

export const TIMELINE = "timeline.json";
/** All kinds full of the longest texts are less. */
const MAX_TIMELINE = 2 ** 28;

/**
 * The timeline of a package, packed or not; undefined where it has none. Throws
 * KVMSEC_EVIDENCE_UNREADABLE for what is no package or no timeline.
 */
export async function readTimeline(folder: string): Promise<Timeline | undefined> {
  readManifest(folder);
  const places = [TIMELINE, storedName(TIMELINE)].map((name) => join(folder, name));
  if (!places.some((place) => existsSync(place))) return undefined;
  const pieces: Buffer[] = [];
  let size = 0;
  await eachStored(folder, TIMELINE, (bytes) => {
    size += bytes.length;
    if (size <= MAX_TIMELINE) pieces.push(Buffer.from(bytes));
  });
  const timeline = parseDocument(Buffer.concat(pieces).toString("utf8"), timelineKind);
  if (typeof timeline !== "string") return timeline;
  throw new KvmsecError(
    "KVMSEC_EVIDENCE_UNREADABLE",
    `${TIMELINE} of ${folder} is no timeline: ${timeline}.`,
    { hint: `kvmsec evidence verify ${folder} names what was changed.` },
  );
}
