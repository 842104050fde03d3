import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseVcpuStates } from "../../../src/formats/vcpu-state.ts";

type Field = { readonly name: string; readonly size: number; readonly array_len?: number };

const FIELDS: readonly Field[] = [
  { name: "env.regs", size: 8, array_len: 16 },
  { name: "env.gdt", size: 20 },
  { name: "env.idt", size: 20 },
  { name: "env.cr[0]", size: 8 },
  { name: "env.cr[3]", size: 8 },
  { name: "env.cr[4]", size: 8 },
  { name: "env.efer", size: 8 },
  { name: "env.lstar", size: 8 },
];

/** A stream as QEMU writes one: each vCPU's register has its own number in each byte. */
function stream(vcpus: number, fields: readonly Field[] = FIELDS, first: object = {}): Buffer {
  const parts = [Buffer.from("5145564d00000003", "hex")];
  for (let instance = 0; instance < vcpus; instance++) {
    const header = Buffer.alloc(17);
    header.writeUInt8(4, 0);
    header.writeUInt32BE(instance + 4, 1);
    header.write("\x03cpu", 5, "latin1");
    header.writeUInt32BE(instance, 9);
    header.writeUInt32BE(12, 13);
    parts.push(header);
    for (const [index, { size, array_len: count = 1 }] of fields.entries()) {
      parts.push(Buffer.alloc(size * count, 16 * (instance + 1) + index));
    }
    parts.push(Buffer.from([0x7e, 0, 0, 0, instance + 4]));
  }
  const devices = Array.from({ length: vcpus }, (_, instance) => ({
    name: "cpu",
    instance_id: instance,
    version: 12,
    fields,
  }));
  const text = Buffer.from(JSON.stringify({ ...first, page_size: 4096, devices }));
  const length = Buffer.alloc(5);
  length.writeUInt8(6, 0);
  length.writeUInt32BE(text.length, 1);
  return Buffer.concat([...parts, length, text]);
}

test("registers are where the stream's own description says", () => {
  const states = parseVcpuStates(stream(2));
  assert.ok(typeof states !== "string");
  assert.equal(states.length, 2);
  assert.equal(states[0]?.lstar, 0x1717_1717_1717_1717n);
  assert.equal(states[1]?.gdtBase, 0x2121_2121_2121_2121n);
  assert.equal(states[1]?.cr4, 0x2525_2525_2525_2525n);
});

test("QEMU 10 describes its configuration first", () => {
  const field = { name: "caps_count", type: "uint32", size: 4 };
  const configuration = { vmsd_name: "configuration", version: 1, fields: [field] };
  const states = parseVcpuStates(stream(2, FIELDS, { configuration }));
  assert.deepEqual(states, parseVcpuStates(stream(2)));
});

test("what is no state, or lacks a register, is told", () => {
  assert.match(String(parseVcpuStates(Buffer.alloc(64))), /no device state/);
  assert.match(String(parseVcpuStates(stream(0))), /no processor/);
  assert.match(String(parseVcpuStates(stream(1, FIELDS.slice(0, -1)))), /lacks a register/);
  const cut = stream(1);
  assert.match(String(parseVcpuStates(cut.subarray(0, cut.length - 8))), /no description/);
});

test("damaged streams are refused or read, never at fault", () => {
  const sound = stream(2);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
      fc.nat(sound.length),
      (changes, length) => {
        const damaged = Buffer.from(sound.subarray(0, length));
        for (const [at, value] of changes) if (at < length) damaged[at] = value;
        const states = parseVcpuStates(damaged);
        assert.ok(typeof states === "string" || states.length > 0);
      },
    ),
    { numRuns: 2000, seed: 7 },
  );
});
