import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMaps } from "../../../src/vm/process-maps.ts";
import { parseQemuArguments } from "../../../src/vm/qemu-command-line.ts";
import { matchMappings } from "../../../src/vm/ram-mappings.ts";
import { ramParts } from "../../../src/vm/ram-parts.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function partsOf(words: string): ReturnType<typeof ramParts> {
  return ramParts(parseQemuArguments(words.trim().split(/\s+/)));
}

const blocksOf = (words: string) => partsOf(words)?.map(({ blocks }) => blocks);

test("memory without a backend is one part", () => {
  assert.deepEqual(blocksOf("-M q35 -m 512"), [[{ start: 0, size: 512 * MIB, offset: 0 }]]);
});

test("several -machine and -m are put together, and the last word counts", () => {
  const words = "-M q35 -m 512,slots=2 -machine max-ram-below-4g=256M -m maxmem=4G -m size=1G";
  const [blocks] = blocksOf(words) ?? [];
  assert.deepEqual(blocks, [
    { start: 0, size: 256 * MIB, offset: 0 },
    { start: 4 * GIB, size: 768 * MIB, offset: 256 * MIB },
  ]);
  assert.ok(parseQemuArguments(words.split(" ")).canGrow);
});

test("NUMA nodes lie one behind the other by their numbers, and one may lie on both sides of the hole", () => {
  const blocks = blocksOf(`-M q35 -m 4G
    -object memory-backend-memfd,id=b,size=3G -object memory-backend-ram,id=a,size=1G
    -numa node,nodeid=1,memdev=b -numa node,nodeid=0,cpus=0-1,memdev=a -numa dist,src=0,dst=1,val=20`);
  assert.deepEqual(blocks, [
    [{ start: 0, size: GIB, offset: 0 }],
    [
      { start: GIB, size: GIB, offset: 0 },
      { start: 4 * GIB, size: 2 * GIB, offset: GIB },
    ],
  ]);
});

test("libvirt's way of naming: JSON, sizes as numbers, addresses told", () => {
  const parts =
    partsOf(`-machine pc-q35-7.2,usb=off,dump-guest-core=off -m size=524288k,slots=16,maxmem=4194304k
    -object {"qom-type":"memory-backend-file","id":"ram-node0","mem-path":"/dev/hugepages/libvirt/qemu/1-a","share":true,"size":268435456}
    -object {"qom-type":"memory-backend-file","id":"ram-node1","mem-path":"/dev/hugepages/libvirt/qemu/1-a","share":true,"size":268435456}
    -numa node,nodeid=0,cpus=0,memdev=ram-node0 -numa node,nodeid=1,cpus=1,memdev=ram-node1
    -object {"qom-type":"memory-backend-ram","id":"memdimm0","size":134217728}
    -device {"driver":"pc-dimm","node":0,"memdev":"memdimm0","id":"dimm0","slot":0,"addr":5368709120}`);
  assert.deepEqual(
    parts?.map(({ backend, blocks }) => [backend?.id, blocks[0].start]),
    [
      ["ram-node0", 0],
      ["ram-node1", 256 * MIB],
      ["memdimm0", 5 * GIB],
    ],
  );
  const maps = parseMaps(`
7f0000000000-7f0010000000 rw-s 00000000 00:2a 11 /dev/hugepages/libvirt/qemu/1-a/qemu_back_mem.ram-node0.aaaaaa (deleted)
7f0020000000-7f0030000000 rw-s 00000000 00:2a 12 /dev/hugepages/libvirt/qemu/1-a/qemu_back_mem.ram-node1.bbbbbb (deleted)
7f0040000000-7f0048000000 rw-p 00000000 00:00 0
7f0048000000-7f0048001000 ---p 00000000 00:00 0`);
  const found = matchMappings(parts ?? [], maps);
  assert.deepEqual(
    parts?.map((part) => found?.get(part)?.start),
    [0x7f0000000000n, 0x7f0020000000n, 0x7f0040000000n],
  );
});

test("modules without an address take the first room behind all memory", () => {
  const blocks = blocksOf(`-M pc -m 512M,slots=4,maxmem=4G
    -object memory-backend-ram,id=m1,size=128M -device pc-dimm,memdev=m1
    -object memory-backend-ram,id=m2,size=256M -device pc-dimm,memdev=m2,addr=0x110000000
    -object memory-backend-ram,id=m3,size=256M -device pc-dimm,memdev=m3`);
  assert.deepEqual(
    blocks?.map(([block]) => block.start),
    [0, 4 * GIB, 0x110000000, 0x120000000],
  );
});

test("a backend that nobody uses is no memory, and one that is missing leaves nothing to guess", () => {
  const unused = partsOf("-m 512 -object memory-backend-file,id=shm,size=1G,mem-path=/x,share=on");
  assert.deepEqual(
    unused?.map(({ size }) => size),
    [512 * MIB],
  );
  assert.equal(partsOf("-m 512 -machine q35,memory-backend=gone"), undefined);
});

test("mappings of the same form go by the order in which they were made, downwards", () => {
  const parts = partsOf(`-M q35 -m 512M -object memory-backend-memfd,id=a,size=256M
    -object memory-backend-memfd,id=b,size=256M -numa node,memdev=a -numa node,memdev=b`);
  const maps = parseMaps(`
7f0000000000-7f0010000000 rw-s 00000000 00:01 2 /memfd:memory-backend-memfd (deleted)
7f0020000000-7f0030000000 rw-s 00000000 00:01 1 /memfd:memory-backend-memfd (deleted)`);
  const found = matchMappings(parts ?? [], maps);
  assert.deepEqual(
    parts?.map((part) => found?.get(part)?.inode),
    [1, 2],
  );
  assert.equal(matchMappings(parts ?? [], maps.slice(1)), undefined);
});

test("what the emulator made to be executed is no memory of the guest", () => {
  const parts = partsOf("-M q35 -m 256M");
  const maps = parseMaps(`
7f0000000000-7f0010000000 rw-p 00000000 00:00 0
7f0010000000-7f0010001000 ---p 00000000 00:00 0
7f0020000000-7f0060000000 rwxp 00000000 00:00 0
7f0060000000-7f0060001000 ---p 00000000 00:00 0
7f0070000000-7f00b0000000 rw-p 00000000 00:00 0
7f00b0000000-7f00b0001000 ---p 00000000 00:00 0`);
  const [part] = parts ?? [];
  assert.equal(matchMappings([part], maps)?.get(part)?.start, 0x7f0000000000n);
});
