import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { dmesg } from "../../../src/views/dmesg.ts";
import type { Guest } from "../harness/guest.ts";
import { readAll } from "./read-all.ts";

const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/** A reader is told of overwritten records by an error, and goes on behind them. */
const READ_KMSG =
  "exec 3< /dev/kmsg; for n in 1 2 3; do dd iflag=nonblock bs=16k status=none <&3; done 2>/dev/null; true";

type KmsgRecord = {
  readonly seq: number;
  readonly level: string;
  readonly microseconds: number;
  readonly text: string;
  readonly subsystem: string | undefined;
  readonly device: string | undefined;
};

/** Every record of /dev/kmsg, after the ring of texts has gone round more than once. */
export async function logIsThatOfKmsg(guest: Guest, kernel: Kernel): Promise<void> {
  await compare(guest, kernel);
  await guest.run(`
    echo on > /proc/sys/kernel/printk_devkmsg
    echo 1 > /proc/sys/kernel/printk
    echo '<11>said by a user' > /dev/kmsg; echo > /dev/kmsg; printf 'two\\nlines\\n' > /dev/kmsg
  `);
  await compare(guest, kernel);
  const said = readAll(dmesg, kernel).slice(-3);
  assert.deepEqual(
    said.map(({ facility, level, text }) => [facility, level, text]),
    [
      ["user", "err", "said by a user"],
      ["user", "warn", ""],
      ["user", "warn", "two\nlines"],
    ],
  );
  // Lines of every length, three times the 128 KiB that Debian's kernels keep.
  await guest.run(`
    line=; for n in $(seq 1 4000); do
      echo "$n $line" > /dev/kmsg
      [ \${#line} -gt 200 ] && line= || line="$line\${n}x"
    done
  `);
  const overwritten = await compare(guest, kernel);
  assert.ok(overwritten > 1000, `${overwritten} records were overwritten`);
  await guest.run("dmesg --clear; echo after > /dev/kmsg");
  const rows = readAll(dmesg, kernel);
  assert.equal(rows.findLast(({ cleared }) => cleared)?.seq, (rows.at(-1)?.seq ?? 0) - 1);
}

/** Compares what both have; returns how many records are gone. */
async function compare(guest: Guest, kernel: Kernel): Promise<number> {
  const rows = readAll(dmesg, kernel);
  const theirs = parse(await guest.run(READ_KMSG));
  const ours = rows.map(({ seq, level, nanoseconds, text, subsystem, device }) => {
    return { seq, level, microseconds: Math.floor(nanoseconds / 1000), text, subsystem, device };
  });
  // What was logged between the two looks.
  const last = rows.at(-1)?.seq ?? -1;
  assert.ok(theirs.length - ours.length < 20);
  assert.deepEqual(
    ours,
    theirs.filter(({ seq }) => seq <= last),
  );
  return last + 1 - rows.length;
}

/** `prefix,sequence,microseconds,flags;text`, then a dictionary of indented lines. */
function parse(kmsg: string): KmsgRecord[] {
  const records: KmsgRecord[] = [];
  for (const [, head, escaped, tail] of kmsg.matchAll(/^(\S[^;]*);(.*)\n((?: .*\n)*)/gm)) {
    const [prefix, seq, microseconds] = head.split(",").map(Number);
    records.push({
      seq,
      level: LEVELS[prefix & 7],
      microseconds,
      text: unescaped(escaped),
      subsystem: /^ SUBSYSTEM=(.*)$/m.exec(tail)?.[1],
      device: /^ DEVICE=(.*)$/m.exec(tail)?.[1],
    });
  }
  return records;
}

/** msg_print_ext_body (kernel/printk/printk.c) writes what is not plain ASCII as `\xNN`. */
function unescaped(text: string): string {
  const bytes = text.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
