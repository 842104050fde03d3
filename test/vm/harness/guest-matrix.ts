import { isAbsolute } from "node:path";
import {
  kernel,
  kernelConfig,
  kernelName,
  type Flavour,
  type KernelWish,
} from "./debian-kernel.ts";
import { bootTiny, type Guest, type GuestOptions } from "./guest.ts";
import type { Hardware, Machine, RamKind } from "./qemu-arguments.ts";

/** One guest of the standard list: what to boot and what a view has to find in it. */
export type MatrixGuest = {
  /** For a test's title: `bookworm/cloud q35 memfd 5-level 2 cpus 512M`. */
  readonly name: string;
  readonly wish: KernelWish;
  /** What the processor offers; `pagingLevels` says what a kernel makes of it. */
  readonly levels: 4 | 5;
  readonly hardware: Hardware & { readonly append: string };
};

type Shape = {
  readonly levels: 4 | 5;
  readonly machine: Machine;
  readonly ram: RamKind;
  readonly cpus: number;
  readonly memory: string;
  readonly append?: string;
};

const standardKernels = ["bookworm/cloud", "bookworm/generic", "trixie/cloud", "trixie/generic"];

/** Older and newer ones (in November 2026: 5.10, 6.12 built for 6.1's system, 7.2, 7.3). */
const widerKernels = [
  "bullseye/cloud",
  "bullseye/generic",
  "bookworm-backports/cloud",
  "sid/cloud",
  "trixie-backports/generic",
];

/** One shape for each standard kernel, such that every value of every trait appears. */
const smallShapes: readonly Shape[] = [
  { levels: 5, machine: "q35", ram: "memfd", cpus: 1, memory: "512M" },
  { levels: 4, machine: "pc", ram: "file", cpus: 2, memory: "768M", append: "pti=on" },
  { levels: 4, machine: "microvm", ram: "anonymous", cpus: 2, memory: "512M" },
  { levels: 5, machine: "q35", ram: "memfd", cpus: 4, memory: "6G" },
];

/**
 * The guests that the tests of views run through. `small` has one guest for each standard kernel;
 * `full` has each × levels × machine × RAM kind, with the other traits taking turns, and a few
 * guests with older and newer kernels.
 *
 * KVMSEC_TEST_KERNELS adds kernels to both, as `bullseye/cloud,sid/generic,/srv/kernels/other`: of
 * Debian's, or by the folder that any distribution's packages were unpacked to.
 */
export function guestMatrix(extent: "small" | "full"): MatrixGuest[] {
  const wishes = [...standardKernels, ...extraKernels()].map(parseKernel);
  if (extent === "small") {
    return wishes.map((wish, index) => matrixGuest(wish, smallShapes[index % smallShapes.length]));
  }
  return [...cross(wishes, fullShapes()), ...cross(widerKernels.map(parseKernel), smallShapes)];
}

/**
 * Levels of the page tables: Debian's 5.10 is built without the fifth; from 6.17 on there is no
 * option for it any more and every kernel has it.
 */
export function pagingLevels(guest: Guest, entry: MatrixGuest): 4 | 5 {
  const off = kernelConfig(guest.options.kernel).get("CONFIG_X86_5LEVEL") === "n";
  return off ? 4 : entry.levels;
}

function cross(wishes: readonly KernelWish[], shapes: readonly Shape[]): MatrixGuest[] {
  return wishes.flatMap((wish) => shapes.map((shape) => matrixGuest(wish, shape)));
}

/** Boots a guest of the list; other options come on top. */
export async function bootMatrixGuest(
  guest: MatrixGuest,
  options: Partial<GuestOptions> = {},
): Promise<Guest> {
  return bootTiny({ ...guest.hardware, ...options, kernel: await kernel(guest.wish) });
}

function fullShapes(): Shape[] {
  const machines: Machine[] = ["q35", "pc", "microvm"];
  const kinds: RamKind[] = ["memfd", "file", "anonymous"];
  const shapes: Shape[] = [];
  for (const levels of [4, 5] as const) {
    for (const machine of machines) {
      for (const ram of kinds) {
        const turn = shapes.length;
        const memory = ["512M", "1G", "3G", "6G"][turn % 4];
        const append = ["", "pti=on", "nokaslr"][Math.floor(turn / 3) % 3];
        shapes.push({ levels, machine, ram, cpus: (turn % 4) + 1, memory, append });
      }
    }
  }
  return shapes;
}

function matrixGuest(wish: KernelWish, shape: Shape): MatrixGuest {
  const { levels, append = "", ...hardware } = shape;
  const traits = [kernelName(wish), shape.machine, shape.ram, `${levels}-level`];
  const name = [...traits, `${shape.cpus} cpus`, shape.memory, append].join(" ").trimEnd();
  const cpu = levels === 5 ? "max" : "max,la57=off";
  return { name, wish, levels, hardware: { ...hardware, cpu, append } };
}

/** What KVMSEC_TEST_KERNELS names, as `parseKernel` takes it. */
export function extraKernels(): string[] {
  return (process.env["KVMSEC_TEST_KERNELS"] ?? "").split(",").filter((name) => name !== "");
}

/** `trixie-backports/cloud`, or an absolute path → what `kernel` takes. */
export function parseKernel(name: string): KernelWish {
  if (isAbsolute(name.trim())) return { folder: name.trim() };
  const [release, flavour] = name.trim().split("/");
  if (!isFlavour(flavour))
    throw new Error(`${name} is not RELEASE/cloud, RELEASE/generic or RELEASE/rt`);
  return { release, flavour };
}

function isFlavour(word: string | undefined): word is Flavour {
  return word === "cloud" || word === "generic" || word === "rt";
}
