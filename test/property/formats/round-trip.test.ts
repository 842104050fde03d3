import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { memberPath, parseBtf } from "../../../src/formats/btf.ts";
import { findKallsyms } from "../../../src/formats/kallsyms.ts";
import { lz4Block } from "../../../src/formats/lz4.ts";
import { deserializeSymbols, serializeSymbols } from "../../../src/formats/symbol-cache.ts";
import { symbolTableOf } from "../../../src/formats/symbol-list.ts";
import { lz4Compress } from "../../fixtures/boot-image.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { writeKallsyms } from "../../fixtures/kallsyms-writer.ts";
import type { KernelSymbol } from "../../fixtures/kallsyms-writer.ts";

const BASE = -0x7e000000;

const name = fc.stringMatching(/^[A-Za-z_.$][\w.$]{0,40}$/);
const symbolType = fc.constantFrom(..."TtDdBbRrVWAn?");

/** Kernel symbols in address order, some sharing an address or a name. */
const kernelSymbols = (minimum: number) =>
  fc
    .array(fc.record({ name, type: symbolType, step: fc.nat(4000) }), {
      minLength: minimum,
      maxLength: minimum + 600,
      size: "max",
    })
    .map((steps) => {
      let address = BASE;
      return steps.map(({ name, type, step }): KernelSymbol => {
        address += step;
        return { name, type, address };
      });
    });

const percpuSymbols = fc
  .array(fc.record({ name, type: symbolType, step: fc.nat(500) }), { maxLength: 40 })
  .map((steps) => {
    let address = 0;
    return steps.map(({ name, type, step }): KernelSymbol => {
      address += step;
      return { name, type, address };
    });
  });

test("kallsyms are read back from every layout", () => {
  const property = fc.property(
    kernelSymbols(300),
    percpuSymbols,
    fc.constantFrom("old" as const, "new" as const),
    fc.constantFrom("percpu" as const, "relative" as const, "pc-relative" as const),
    fc.boolean(),
    fc.constantFrom(4 as const, 8 as const),
    fc.nat(500),
    (kernel, percpu, order, addressing, seqs, align, at) => {
      // The first two shared one order; PC-relative ones never had the old one.
      const relative = addressing === "pc-relative";
      const symbols = addressing === "percpu" ? [...percpu, ...kernel] : kernel;
      const spec = {
        symbols,
        addressing,
        imageBase: BASE,
        at: at * 8,
        order: relative ? ("new" as const) : order,
        seqs: relative || seqs,
        align: relative ? align : (8 as const),
      };
      const { bytes } = writeKallsyms(spec);
      const image = new Uint8Array(spec.at + bytes.length + 64);
      image.set(bytes, spec.at);
      const result = findKallsyms(image, BASE);
      assert.ok(result.ok, result.ok ? "" : result.reason);
      assert.deepEqual(
        [...result.table],
        symbols.toSorted((a, b) => a.address - b.address),
      );
    },
  );
  fc.assert(property, { numRuns: 60 });
});

test("a symbol table answers as a plain list would", () => {
  const property = fc.property(
    kernelSymbols(0),
    percpuSymbols,
    fc.nat(),
    (kernel, percpu, pick) => {
      const list = [...kernel, ...percpu];
      const table = symbolTableOf(list);
      assert.deepEqual(
        [...table],
        list.toSorted((a, b) => a.address - b.address),
      );
      assert.deepEqual([...(deserializeSymbols(serializeSymbols(table)) ?? [])], [...table]);
      const chosen = list[pick % list.length];
      if (chosen === undefined) return;
      const same = list.filter(({ name }) => name === chosen.name).map(({ address }) => address);
      assert.deepEqual(
        table.all(chosen.name),
        same.toSorted((a, b) => a - b),
      );
      assert.equal(table.address(chosen.name), Math.min(...same));
      const prefix = chosen.name.slice(0, 2);
      assert.equal(
        [...table.startingWith(prefix)].length,
        list.filter(({ name }) => name.startsWith(prefix)).length,
      );
      const asked = chosen.address + (pick % 300);
      const below = kernel.filter(({ address }) => address <= asked).map(({ address }) => address);
      if (asked < 0 && below.length > 0 && below.length < kernel.length) {
        assert.equal(table.at(asked)?.address, Math.max(...below));
      }
      const { first, end } = table.range(chosen.address, asked);
      assert.equal(
        end - first,
        list.filter(({ address }) => address >= chosen.address && address < asked).length,
      );
    },
  );
  fc.assert(property, { numRuns: 100 });
});

/** A type as a tree: leaves are ints, the rest structs or unions whose members may lack a name. */
type Tree = {
  named: boolean;
  pad: number;
  union: boolean;
  members: Tree[] | undefined;
};

const tree = fc.letrec<{ tree: Tree; members: Tree[] }>((tie) => ({
  members: fc.array(tie("tree"), { maxLength: 6, depthIdentifier: "tree" }),
  tree: fc.record({
    named: fc.boolean(),
    pad: fc.nat(64),
    union: fc.boolean(),
    members: fc.option(tie("members"), { nil: undefined, depthIdentifier: "tree", maxDepth: 4 }),
  }),
})).tree;

type Written = { id: number; bytes: number; paths: [path: string, offset: number][] };

/** Writes a tree, each name once; says where every path in it lies. */
function write(w: BtfWriter, node: Tree): Written {
  if (node.members === undefined) return { id: 1, bytes: 4, paths: [] };
  const members: [string, number, number][] = [];
  const paths: Written["paths"] = [];
  let end = 0;
  for (const member of node.members) {
    const inner = write(w, member);
    const at = node.union ? 0 : end + member.pad;
    const name = member.named || member.members === undefined ? `m${w.stringLength}` : "";
    members.push([name, inner.id, at * 8]);
    w.string(name);
    end = Math.max(end, at + inner.bytes);
    if (name !== "") paths.push([name, at]);
    const prefix = name === "" ? "" : `${name}.`;
    for (const [path, offset] of inner.paths) paths.push([prefix + path, at + offset]);
  }
  return { id: w.struct("", end, members, node.union ? 5 : 4), bytes: end, paths };
}

test("member paths lie where the tree says", () => {
  let seen = 0;
  const property = fc.property(fc.array(tree, { minLength: 1, maxLength: 8 }), (members) => {
    const w = new BtfWriter();
    w.int("int", 4, 1);
    const { id, bytes, paths } = write(w, { named: true, pad: 0, union: false, members });
    const parsed = parseBtf(w.bytes());
    assert.ok(parsed.ok);
    assert.equal(parsed.btf.size(id), bytes);
    for (const [path, offset] of paths) {
      assert.equal(memberPath(parsed.btf, id, path)?.offset, offset, path);
      assert.equal(memberPath(parsed.btf, id, `${path}x`), undefined);
      seen++;
    }
  });
  fc.assert(property, { numRuns: 200 });
  assert.ok(seen > 1000, `${seen} paths`);
});

test("LZ4 blocks are read back", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 3000, size: "max" }),
    fc.string({ maxLength: 20 }).map((text) => Buffer.from(text.repeat(90))),
  );
  const property = fc.property(bytes, (source) => {
    const block = lz4Compress(source);
    const target = new Uint8Array(source.length);
    assert.equal(lz4Block(block, 0, block.length, target, 0), source.length);
    assert.equal(Buffer.compare(target, source), 0);
  });
  fc.assert(property, { numRuns: 100 });
});
