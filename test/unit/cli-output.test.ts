import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import {
  durationText,
  sizeText,
  write,
  writeDocument,
  writeJsonLine,
} from "../../src/cli/output.ts";
import { progress } from "../../src/cli/progress.ts";
import { watch, watchOption } from "../../src/cli/watch.ts";

type Terminal = PassThrough & { isTTY?: boolean; columns?: number; rows?: number };

function outputs(terminal = false): { stdout: Terminal; stderr: Terminal; exit: () => void } {
  const make = (): Terminal =>
    Object.assign(new PassThrough(), terminal ? { isTTY: true, columns: 40, rows: 5 } : {});
  return { stdout: make(), stderr: make(), exit: () => undefined };
}

function textOf(stream: PassThrough): string {
  return String(stream.read() ?? "");
}

test("a document begins with its schema; times, big addresses and faults have one form", async () => {
  const io = outputs();
  const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  await writeDocument(io, "kvmsec.test/1", { at, task: 0xffff888000000000n, size: Number.NaN });
  assert.equal(
    textOf(io.stdout),
    '{"schema":"kvmsec.test/1","at":"2026-01-02T03:04:05.678Z","task":"0xffff888000000000","size":null}\n',
  );
});

test("a document is indented on a terminal, a followed line never is", async () => {
  const io = outputs(true);
  await writeDocument(io, "kvmsec.test/1", { a: 1 });
  await writeJsonLine(io, "kvmsec.test/1", { a: 1 });
  assert.equal(
    textOf(io.stdout),
    '{\n  "schema": "kvmsec.test/1",\n  "a": 1\n}\n{"schema":"kvmsec.test/1","a":1}\n',
  );
});

test("writing waits for a slow reader", async () => {
  const slow = new PassThrough({ highWaterMark: 4 });
  let written = false;
  const writing = write(slow, "0123456789").then(() => (written = true));
  await new Promise(setImmediate);
  assert.equal(written, false);
  slow.resume();
  await writing;
});

test("sizes and times for people", () => {
  assert.deepEqual([0, 1023, 1536, 536_870_912, 1.5 * 2 ** 30, 2 ** 40, Number.NaN].map(sizeText), [
    "0 B",
    "1023 B",
    "1.5 KiB",
    "512 MiB",
    "1.5 GiB",
    "1 TiB",
    "?",
  ]);
  assert.deepEqual([0.43, 12.4, 1400, 59_990, 125_000].map(durationText), [
    "430 µs",
    "12 ms",
    "1.4 s",
    "60.0 s",
    "2 min 5 s",
  ]);
});

test("progress: one plain line a step where it is no terminal", () => {
  const io = outputs();
  const steps = progress(io);
  steps.step("fetching");
  steps.detail("50 %");
  steps.step("unpacking \x1b[2J");
  steps.done();
  assert.equal(textOf(io.stderr), "fetching\nunpacking \\x1b[2J\n");
});

test("progress: a step that an error leaves is not ticked", () => {
  const io = outputs(true);
  let clock = 0;
  assert.throws(() => {
    using steps = progress(io, () => (clock += 1000));
    steps.step("one");
    steps.detail("50 %");
    steps.step("two");
    throw new Error("no room");
  });
  const text = textOf(io.stderr);
  assert.match(text, /… one  50 %/);
  assert.match(text, /✓.* one/);
  assert.match(text, /✗.* two\n$/);
  assert.doesNotMatch(text, /✓.* two/);
});

/** A keyboard: a stream that claims to be a terminal. */
class Keyboard extends PassThrough {
  readonly isTTY = true;
  raw: boolean[] = [];

  setRawMode(on: boolean): this {
    this.raw.push(on);
    return this;
  }
}

const keyboard = (): Keyboard & NodeJS.ReadStream =>
  new Keyboard() as unknown as Keyboard & NodeJS.ReadStream;

test("watch takes the alternate screen, scrolls, and gives the screen back on q", async () => {
  const io = outputs(true);
  const input = keyboard();
  let frames = 0;
  const body = Array.from({ length: 20 }, (_, index) => `row ${index}`);
  await watch(io, { intervalMs: 1, input }, async () => {
    frames++;
    if (frames === 2) input.write("j");
    if (frames === 5) input.write("q");
    return { head: [`frame ${frames}`], body };
  });
  const text = textOf(io.stdout);
  assert.ok(text.startsWith("\x1b[?1049h"));
  assert.ok(text.endsWith("\x1b[?1049l"));
  const screens = text.split("\x1b[H").map((screen) => stripVTControlCharacters(screen));
  assert.equal(screens[1], "frame 1\r\nrow 0\r\nrow 1\r\nrow 2\r\nrow 3");
  assert.ok(screens.includes("frame 2\r\nrow 1\r\nrow 2\r\nrow 3\r\nrow 4"), text);
  assert.doesNotMatch(text, /row 6/);
  assert.deepEqual(input.raw, [true, false]);
});

test("watch gives the screen back when a frame fails, and the error goes on", async () => {
  const io = outputs(true);
  const input = keyboard();
  const failing = watch(io, { intervalMs: 1, input }, async () => {
    throw new Error("the guest is gone");
  });
  await assert.rejects(failing, /the guest is gone/);
  assert.ok(textOf(io.stdout).endsWith("\x1b[?1049l"));
  assert.deepEqual(input.raw, [true, false]);
});

test("watch into a pipe writes frame after frame, and leaves on a signal", async () => {
  const io = outputs();
  let frames = 0;
  await watch(io, { intervalMs: 1 }, async () => {
    frames++;
    if (frames === 3) process.emit("SIGTERM");
    return { head: ["head"], body: [`frame ${frames}`] };
  });
  assert.equal(textOf(io.stdout), "head\nframe 1\n\nhead\nframe 2\n\nhead\nframe 3\n");
});

test("the interval of --watch is checked", () => {
  const option = watchOption();
  assert.equal(option.parseArg?.("0.5", undefined), 500);
  for (const wrong of ["0", "-1", "abc", "", "1e9"]) {
    assert.throws(() => option.parseArg?.(wrong, undefined), /number of seconds/);
  }
});
