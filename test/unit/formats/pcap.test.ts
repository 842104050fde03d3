import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  eachRecord,
  MAX_PACKET,
  parsePcapHeader,
  PCAP_HEADER,
  stampRecord,
} from "../../../src/formats/pcap.ts";

const packet = fc.record({
  micros: fc.integer({ min: 0, max: 2 ** 32 * 1e6 - 1 }),
  data: fc.uint8Array({ maxLength: 100 }),
});

function encode(packets: readonly { micros: number; data: Uint8Array }[]): Buffer {
  return Buffer.concat(
    packets.map(({ micros, data }) => {
      const header = Buffer.alloc(16);
      header.writeUInt32LE(Math.floor(micros / 1e6), 0);
      header.writeUInt32LE(micros % 1e6, 4);
      header.writeUInt32LE(data.length, 8);
      header.writeUInt32LE(data.length, 12);
      return Buffer.concat([header, data]);
    }),
  );
}

test("each whole record is given, at every cut, and stamps can be written anew", () => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 8 }), fc.nat(), (packets, chance) => {
      const bytes = encode(packets);
      const cut = bytes.subarray(0, chance % (bytes.length + 1));
      const seen: number[] = [];
      const { used, broken } = eachRecord(cut, ({ at, micros }) => {
        seen.push(micros);
        stampRecord(bytes, at, micros / 2 - ((micros / 2) % 1));
      });
      assert.equal(broken, false);
      assert.ok(used <= cut.length && cut.length - used < 16 + 100);
      assert.deepEqual(
        seen,
        packets.slice(0, seen.length).map(({ micros }) => micros),
      );
      const again: number[] = [];
      eachRecord(bytes.subarray(0, used), ({ micros }) => again.push(micros));
      assert.deepEqual(
        again,
        seen.map((micros) => Math.floor(micros / 2)),
      );
    }),
  );
});

test("whatever bytes come, the walk ends within them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const { used } = eachRecord(bytes, ({ at, length }) =>
        assert.ok(at + 16 + length <= bytes.length && length <= MAX_PACKET),
      );
      assert.ok(used <= bytes.length);
      parsePcapHeader(bytes);
    }),
  );
});

test("only the form that QEMU writes is taken", () => {
  const header = Buffer.from("d4c3b2a10200040000000000000000000000010001000000", "hex");
  assert.equal(header.length, PCAP_HEADER);
  assert.deepEqual(parsePcapHeader(header), { snapLength: 65_536, linkType: 1 });
  for (let at = 0; at < 8; at++) {
    const other = Buffer.from(header);
    other[at]! ^= 1;
    assert.equal(parsePcapHeader(other), undefined);
  }
});
