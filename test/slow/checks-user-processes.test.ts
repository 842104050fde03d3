import { test } from "node:test";
import { processStory } from "../vm/harness/process-story.ts";

/** Kernels of other ages than those of the quick tests. */
const releases = ["bullseye", "sid", "trixie-backports"] as const;

for (const release of releases) {
  test(`tampered user processes are found: ${release}/cloud`, (t) =>
    processStory(t, { release, flavour: "cloud" }, "max"));
}
