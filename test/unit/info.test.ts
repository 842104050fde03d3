import assert from "node:assert/strict";
import { test } from "node:test";
import { infoDocument, readInfo } from "../../src/views/info.ts";
import { BtfWriter } from "../fixtures/btf-writer.ts";
import { toyKernel } from "../fixtures/toy-kernel.ts";

test("of a kernel that tells nothing, nothing is claimed", () => {
  const { kernel } = toyKernel(new BtfWriter());
  const { cpus, hostname, bootTime, paging } = readInfo(kernel);
  assert.deepEqual([cpus, hostname, bootTime], [Number.NaN, undefined, undefined]);
  assert.equal(paging.kpti, undefined);
  const document = JSON.parse(JSON.stringify(infoDocument(kernel))) as Record<string, unknown>;
  assert.equal((document["paging"] as { kpti: unknown }).kpti, null);
});
