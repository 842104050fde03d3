import { test } from "node:test";
import { demoTellsItsStory } from "../vm/harness/demo-run.ts";

test("the demo tells every step of its story on 6.12 too, from tampering to clean", () =>
  demoTellsItsStory({ release: "trixie" }));
