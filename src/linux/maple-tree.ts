import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** enum maple_type (include/linux/maple_tree.h). */
const MAPLE_DENSE = 0;
const MAPLE_LEAF_64 = 1;
const MAPLE_RANGE_64 = 2;
const MAPLE_ARANGE_64 = 3;
/** A node is 256 bytes large and aligned; the low byte of a pointer to it holds its type. */
const NODE_MASK = 255;
const TYPE_SHIFT = 3;
const TYPE_MASK = 15;
/** XA_ZERO_ENTRY and other internal entries end in these bits (include/linux/xarray.h). */
const INTERNAL = 2;
/** MAPLE_HEIGHT_MAX (include/linux/maple_tree.h). */
const MAX_HEIGHT = 31;
const WORD = 8;
/** As the double that a 64-bit maximum is read as. */
const ULONG_MAX = 2 ** 64;

/** Where pivots and slots lie in one kind of node. */
type NodeLayout = {
  readonly pivots: number;
  readonly pivotCount: number;
  readonly slots: number;
  readonly slotCount: number;
  readonly leaf: boolean;
};

/** Reads `struct maple_tree` (lib/maple_tree.c, since 6.1). */
export class MapleTrees {
  readonly #kernel: Kernel;
  readonly #root: Reader;
  readonly #layouts: readonly (NodeLayout | undefined)[];

  /** True where the kernel has maple trees. */
  static known(kernel: Kernel): boolean {
    return kernel.types.has("maple_tree", "ma_root");
  }

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#root = kernel.reader("maple_tree", "ma_root");
    const layouts: NodeLayout[] = [];
    layouts[MAPLE_DENSE] = {
      pivots: 0,
      pivotCount: 0,
      slots: kernel.offset("maple_node", "slot"),
      slotCount: kernel.types.length("maple_node", "slot"),
      leaf: true,
    };
    layouts[MAPLE_LEAF_64] = layoutOf(kernel, "maple_range_64", true);
    layouts[MAPLE_RANGE_64] = layoutOf(kernel, "maple_range_64", false);
    layouts[MAPLE_ARANGE_64] = layoutOf(kernel, "maple_arange_64", false);
    this.#layouts = layouts;
  }

  /**
   * The pointers in a tree, by rising index; undefined where the tree was being changed (a node
   * was dead, unreadable or of no known kind) or is deeper or larger than allowed: try again.
   */
  entries(tree: GuestVirtual, budget: Budget): GuestVirtual[] | undefined {
    const root = this.#root(tree);
    if (root !== root) return undefined;
    if (root === 0) return [];
    // A tree with one entry at index 0 has it in place of a node.
    if ((root & 3) !== INTERNAL) return [root];
    const found: GuestVirtual[] = [];
    return this.#walk(root, ULONG_MAX, 0, budget, found) ? found : undefined;
  }

  #walk(
    encoded: GuestVirtual,
    max: number,
    depth: number,
    budget: Budget,
    found: GuestVirtual[],
  ): boolean {
    const { space } = this.#kernel;
    const node = encoded - (encoded & NODE_MASK);
    const layout = this.#layouts[(encoded >>> TYPE_SHIFT) & TYPE_MASK];
    if (layout === undefined || depth >= MAX_HEIGHT || this.#isDead(node)) return false;
    for (let index = 0; index < layout.slotCount; index++) {
      if (!budget.step()) return false;
      const pivot = this.#pivot(node, layout, index, max);
      const slot = space.pointer(node + layout.slots + index * WORD);
      if (slot !== slot || pivot !== pivot) return false;
      if (!layout.leaf) {
        if (!this.#walk(slot, pivot, depth + 1, budget, found)) return false;
      } else if (slot !== 0 && (slot & 3) !== INTERNAL) {
        found.push(slot);
      }
      if (layout.pivotCount > 0 && pivot >= max) break;
    }
    return !this.#isDead(node);
  }

  /** Highest index of a slot; where no pivot is stored it is the node's own (mas_safe_pivot). */
  #pivot(node: GuestVirtual, layout: NodeLayout, index: number, max: number): number {
    if (index >= layout.pivotCount) return max;
    const pivot = this.#kernel.space.count(node + layout.pivots + index * WORD);
    return pivot === 0 && index > 0 ? max : pivot;
  }

  /** A node that was replaced is its own parent (ma_dead_node); its first word is the parent. */
  #isDead(node: GuestVirtual): boolean {
    const parent = this.#kernel.space.pointer(node);
    return parent !== parent || parent - (parent & NODE_MASK) === node;
  }
}

function layoutOf(kernel: Kernel, struct: string, leaf: boolean): NodeLayout {
  return {
    pivots: kernel.offset(struct, "pivot"),
    pivotCount: kernel.types.length(struct, "pivot"),
    slots: kernel.offset(struct, "slot"),
    slotCount: kernel.types.length(struct, "slot"),
    leaf,
  };
}
