import { test } from "node:test";
import { processStory } from "./harness/process-story.ts";

const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "cloud", cpu: "max" },
] as const;

for (const { cpu, ...wish } of guests) {
  test(`tampered user processes are found: ${wish.release}/${wish.flavour}`, (t) =>
    processStory(t, wish, cpu));
}
