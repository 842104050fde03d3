import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageFramer, formatCommand } from "../../../src/qmp/framing.ts";

const jsonObject = fc.dictionary(fc.string(), fc.jsonValue());

test("messages come out whole however the stream is cut, plain or pretty", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(jsonObject, fc.boolean()), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (messages, cuts) => {
        const stream = messages
          .map(([value, pretty]) =>
            pretty && Object.keys(value).length > 0
              ? JSON.stringify(value, null, 4).replaceAll("\n", "\r\n") + "\r\n"
              : JSON.stringify(value) + "\r\n",
          )
          .join("");
        const framer = new MessageFramer();
        const out: unknown[] = [];
        for (let at = 0, n = 0; at < stream.length; n++) {
          const end = at + cuts[n % cuts.length]!;
          out.push(...framer.push(stream.slice(at, end)));
          at = end;
        }
        assert.deepEqual(
          out,
          messages.map(([value]) => JSON.parse(JSON.stringify(value))),
        );
      },
    ),
  );
});

test("what is not JSON is refused with a code", () => {
  assert.throws(() => new MessageFramer().push("SSH-2.0-OpenSSH_9.2\r\n"), {
    code: "KVMSEC_QMP_PROTOCOL",
  });
});

test("a message without an end is refused instead of kept", () => {
  const framer = new MessageFramer();
  const piece = "x".repeat(1024 * 1024);
  assert.throws(
    () => {
      for (let n = 0; n < 64; n++) framer.push(piece);
    },
    { code: "KVMSEC_QMP_PROTOCOL" },
  );
});

test("a bigint is sent as the number that it is", () => {
  assert.equal(
    formatCommand("memsave", 7, { val: -9223372036854775808n, size: 8 }),
    '{"execute":"memsave","id":7,"arguments":{"val":-9223372036854775808,"size":8}}\n',
  );
});
