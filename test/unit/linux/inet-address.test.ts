import assert from "node:assert/strict";
import { SocketAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { inet4Text, inet6Text } from "../../../src/linux/inet-address.ts";

test("an IPv4 address is written with dots", () => {
  assert.equal(inet4Text(Uint8Array.of(10, 0, 255, 1)), "10.0.255.1");
});

/** Words that make runs of zeros likely. */
const word = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constant(0xffff) },
  { weight: 2, arbitrary: fc.nat(0xffff) },
);

test("an IPv6 address is written as inet_ntop writes it", () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), (words) => {
      const address = words.map((each) => each.toString(16)).join(":");
      const expected = new SocketAddress({ address, family: "ipv6" }).address;
      assert.equal(inet6Text(Uint8Array.from(words.flatMap((w) => [w >> 8, w & 0xff]))), expected);
    }),
    { numRuns: 2000 },
  );
});
