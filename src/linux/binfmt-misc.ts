import type { GuestVirtual } from "../base/address.ts";
import type { Problem } from "./callback.ts";
import { CodeOwners } from "./code-owner.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";
import { listSnapshot } from "./list-snapshot.ts";
import { ModuleTypes } from "./module-types.ts";

/** A program format that was registered in /proc/sys/fs/binfmt_misc. */
export type BinfmtEntry = {
  readonly name: string;
  /**
   * The program that is started in place of a file of that format, with the file as its argument;
   * undefined where a BPF program chooses it (7.3).
   */
  readonly interpreter: string | undefined;
  readonly entry: GuestVirtual;
};

const MODULE = "binfmt_misc";
const STRUCTS = ["binfmt_misc_entry", "Node"];
const MAX_TEXT = 4096;

/**
 * Entries of the first user namespace (fs/binfmt_misc.c); none where the module is not loaded,
 * undefined where the kernel does not tell the module's types (before 5.11, or built in).
 */
export function binfmtEntries(
  kernel: Kernel,
  owners: CodeOwners,
  problem: Problem,
): BinfmtEntry[] | undefined {
  const module = owners.modules.find(({ name }) => name === MODULE);
  if (module === undefined) return [];
  const types = new ModuleTypes(kernel);
  const known = types.of(MODULE);
  const head = entriesHead(kernel, module.symbols?.address("entries") ?? Number.NaN);
  if (typeof known === "string" || head !== head) return undefined;
  // A typedef of a nameless struct until 7.2.
  const struct = STRUCTS.find((each) => known.struct(each) !== 0) ?? "";
  const name = types.reader(MODULE, struct, "name");
  const interpreter = types.reader(MODULE, struct, "interpreter");
  if (name === undefined || interpreter === undefined) return undefined;
  const budget = kernel.budget();
  // A list until 7.2, then an hlist that is read under SRCU.
  const list = known.member(struct, "list");
  const nodes =
    list === undefined
      ? hlistEntries(kernel, head, known.member(struct, "node")?.offset ?? 0, budget, problem)
      : listSnapshot(kernel, head, list.offset, budget, problem);
  return Array.from(nodes, (entry) => ({
    name: kernel.space.string(name(entry), MAX_TEXT) ?? "",
    interpreter: kernel.space.string(interpreter(entry), MAX_TEXT),
    entry,
  }));
}

/** Since 6.7 each user namespace has its own; the first one's is a variable of the kernel. */
function entriesHead(kernel: Kernel, ofModule: GuestVirtual): GuestVirtual {
  const first = kernel.symbol("init_binfmt_misc");
  const member = kernel.types.member("binfmt_misc", "entries");
  return first === first && member !== undefined ? first + member.offset : ofModule;
}
