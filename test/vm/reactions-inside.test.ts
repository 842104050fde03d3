import { test } from "node:test";
import { insideStory } from "./harness/inside-story.ts";

test("inside a guest from outside: bookworm/cloud, RAM memfd", (t) =>
  insideStory(t, {
    release: "bookworm",
    flavour: "cloud",
    cpu: "max,la57=off",
    cpus: 1,
    ram: "memfd",
  }));
