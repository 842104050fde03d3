import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { demoSteps } from "../../../src/daemon/demo-story.ts";
import { Journal } from "../../../src/response/journal.ts";
import { listVms } from "../../../src/vm/guest-vm.ts";
import { processIdentity } from "../../../src/vm/process-identity.ts";
import { kvmsec } from "../command-line.ts";
import { testHome } from "../golden-image.ts";
import type { RecipeOptions } from "../../../src/vm/image-recipe.ts";

type Step = {
  schema: string;
  step: string;
  durationMs: number;
  at: string;
  pid: number;
  before: string;
  after: string;
  verdict: string;
  findings: string[];
  folder: string;
};

/** Runs the demo on an image of that recipe, and looks whether each step really happened. */
export async function demoTellsItsStory(recipe: RecipeOptions = {}): Promise<void> {
  using home = await testHome(recipe);
  const { status, stdout, stderr } = await kvmsec(
    home.root,
    "demo",
    "--json",
    "--exit",
    "--image",
    home.image,
  );
  assert.equal(status, 0, stderr);
  const steps = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Step);
  assert.deepEqual(
    steps.map(({ step }) => step),
    demoSteps,
  );
  for (const { schema, durationMs, at } of steps) {
    assert.equal(schema, "kvmsec.demo/1");
    assert.ok(durationMs > 0);
    assert.ok(Date.parse(at) > 0);
  }
  const [started, baseline, tampered, detected, , captured, restored, clean] = steps;
  assert.equal(baseline!.verdict, "clean");
  assert.notEqual(tampered!.before, tampered!.after);
  assert.match(detected!.findings.join("\n"), /sys_call_table|System call 139/);
  assert.equal(captured!.verdict, "tampered");
  assert.notEqual(restored!.pid, started!.pid);
  assert.equal(clean!.verdict, "clean");

  assert.deepEqual(listVms(home), []);
  for (const { pid } of [started!, restored!]) assert.equal(processIdentity(pid), undefined);
  assert.equal(existsSync(captured!.folder), false);
  assert.deepEqual(readdirSync(home.vms), []);
  const actions = new Journal(home)
    .read()
    .filter(({ kind }) => kind === "begin")
    .map(({ data }) => data["action"]);
  assert.deepEqual(actions, ["save-clean", "write", "freeze", "capture", "freeze", "restore"]);
  assert.ok(existsSync(join(home.root, "journal", "actions.jsonl")));
}
