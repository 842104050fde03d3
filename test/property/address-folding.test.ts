import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AddressFolding } from "../../src/arch/x86/address-folding.ts";

const bits64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
/** 5-level user space ends a page below 2^56 (TASK_SIZE_MAX, arch/x86/include/asm/page_64_types.h). */
const userPages = fc.bigInt({ min: 0n, max: 2n ** 44n - 2n }).map((page) => page << 12n);

test("an address is a fault or stands for exactly itself", () => {
  fc.assert(
    fc.property(bits64, fc.integer({ min: 256, max: 510 }), (address, region) => {
      const folding = new AddressFolding();
      assert.ok(folding.admit(region));
      const folded = folding.foldBig(address);
      if (folded === folded) assert.equal(folding.unfold(folded), address);
    }),
  );
});

test("a region that a running kernel populates gets its addresses with the first that is met", () => {
  fc.assert(
    fc.property(fc.integer({ min: 256, max: 510 }), fc.nat(511), (region, below) => {
      const folding = new AddressFolding();
      const populated = new Set<string>();
      folding.follow((...place) => populated.has(place.join()));
      const address = (BigInt(0xfe00 + region) << 48n) + (BigInt(below) << 39n) + 5n;
      assert.equal(folding.foldBig(address), Number.NaN);
      populated.add([region, below].join());
      assert.equal(folding.unfold(folding.foldBig(address)), address);
      assert.equal(folding.rootIndex(Math.floor(folding.foldBig(address) / 2 ** 48)), region);
    }),
  );
});

test("each page of user space has an address, with 5 levels too", () => {
  fc.assert(
    fc.property(userPages, (address) => {
      const folding = new AddressFolding();
      const folded = folding.foldBig(address);
      assert.equal(folding.format(folded), `0x${address.toString(16)}`);
      assert.equal(folding.rootIndex(Math.floor(folded / 2 ** 48)), Number(address >> 48n));
    }),
  );
});
