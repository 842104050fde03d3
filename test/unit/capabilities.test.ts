import assert from "node:assert/strict";
import { test } from "node:test";
import { ALL_CAPABILITIES, capabilityNames } from "../../src/linux/capabilities.ts";

test("capability sets are named as in include/uapi/linux/capability.h", () => {
  assert.deepEqual(capabilityNames(0), []);
  assert.deepEqual(capabilityNames(1), ["CAP_CHOWN"]);
  assert.deepEqual(capabilityNames(2 ** 21 + 2 ** 12), ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
  assert.deepEqual(capabilityNames(2 ** 40), ["CAP_CHECKPOINT_RESTORE"]);
  assert.deepEqual(capabilityNames(2 ** 41), ["CAP_41"]);
  assert.equal(ALL_CAPABILITIES, 0x1ff_ffff_ffff);
  assert.deepEqual(capabilityNames(ALL_CAPABILITIES), ["all"]);
});
