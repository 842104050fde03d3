import { test } from "node:test";
import { demoTellsItsStory } from "./harness/demo-run.ts";

test("the demo tells every step of its story, and leaves nothing behind", () =>
  demoTellsItsStory());
