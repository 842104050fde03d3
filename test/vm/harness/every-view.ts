import { createHash } from "node:crypto";
import { dumpType } from "../../../src/formats/btf-dump.ts";
import { Btf } from "../../../src/formats/btf.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { PageCache } from "../../../src/linux/page-cache.ts";
import { readInfo } from "../../../src/views/info.ts";
import * as views from "../../../src/views/index.ts";
import { placeToRead } from "../../../src/views/read.ts";
import type { PlaceOptions } from "../../../src/views/read.ts";
import type { Problem, View } from "../../../src/views/view.ts";

/** A view's name → what it says, line by line; what it could not read as lines too. */
export type Said = Readonly<Record<string, readonly string[]>>;

/** Options without which a view would not show all that it can. */
const WHOLE: Readonly<Record<string, object>> = { symbols: { modules: true } };

/** Everything that kvmsec can tell of a guest, in the form that scripts get. */
export function everyView(kernel: Kernel): Said {
  const said = Object.entries(views).map(([name, view]) => [
    name,
    rows(kernel, view as View<unknown>, WHOLE[name] ?? {}),
  ]);
  // What RAM is read from is what differs.
  const { memory: _, ...info } = readInfo(kernel);
  return {
    ...(Object.fromEntries(said) as Record<string, string[]>),
    info: Object.entries(info).map(([key, value]) => `${key} ${JSON.stringify(value)}`),
    types: typesOf(kernel),
    contents: contentsOfCachedFiles(kernel),
    read: readPlaces(kernel),
  };
}

function told(kernel: Kernel, read: (problem: Problem) => Iterable<string>): string[] {
  kernel.refresh();
  const problems: string[] = [];
  const lines = [...read((reason) => problems.push(`problem: ${reason}`))];
  return [...lines, ...problems];
}

function rows(kernel: Kernel, view: View<unknown>, options: object): string[] {
  return told(kernel, function* (problem) {
    for (const row of view.read(kernel, options, problem)) {
      yield JSON.stringify(view.json(row, kernel));
    }
  });
}

function typesOf(kernel: Kernel): string[] {
  const { source } = kernel.types;
  if (!(source instanceof Btf)) return [];
  return Array.from({ length: source.typeCount - source.firstId }, (_, index) =>
    dumpType(source, source.firstId + index),
  );
}

/** Each cached file with a digest of what can be extracted, and of what is missing. */
function contentsOfCachedFiles(kernel: Kernel): string[] {
  const cache = new PageCache(kernel);
  return told(kernel, function* (problem) {
    for (const file of views.pagecache.read(kernel, {}, problem)) {
      const digest = createHash("sha256");
      for (const piece of cache.pieces(file.address, kernel.budget(), problem)) {
        digest.update(piece.bytes ?? JSON.stringify(piece));
      }
      yield `${file.device}:${file.inode} ${digest.digest("hex")}`;
    }
  });
}

/** Physical memory, the kernel's, and the first page of each process. */
function readPlaces(kernel: Kernel): string[] {
  return told(kernel, function* (problem) {
    const physical = { physical: true };
    for (let page = 1; page < 0x9f; page++) yield digestOf(kernel, `${page * 4096}`, physical);
    for (const symbol of ["linux_banner", "init_task", "_text"]) {
      yield digestOf(kernel, symbol, {});
    }
    const first = new Map<number, string>();
    for (const { pid, start } of views.maps.read(kernel, {}, problem)) {
      if (!first.has(pid)) first.set(pid, kernel.format(start));
    }
    for (const [pid, start] of first) yield digestOf(kernel, start, { pid: [pid] });
  });
}

function digestOf(kernel: Kernel, text: string, options: PlaceOptions): string {
  const place = placeToRead(kernel, text, options);
  const page = new Uint8Array(4096);
  const length = place.copy(place.address, page);
  const digest = createHash("sha256").update(page.subarray(0, length)).digest("hex");
  return `${options.pid?.[0] ?? ""} ${text} ${length} ${digest}`;
}
