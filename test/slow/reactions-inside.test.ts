import { test } from "node:test";
import { insideStory } from "../vm/harness/inside-story.ts";

test("inside a guest from outside: trixie/generic, RAM anonymous", (t) =>
  insideStory(t, {
    release: "trixie",
    flavour: "generic",
    cpu: "max",
    cpus: 2,
    ram: "anonymous",
  }));
