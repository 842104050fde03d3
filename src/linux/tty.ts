import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";

/** A table of functions that a terminal's characters pass through. */
export type TtyOperations = {
  readonly what: string;
  readonly struct: "tty_operations" | "tty_ldisc_ops";
  readonly slot: GuestVirtual;
  readonly table: GuestVirtual;
  /** The table that it was made with, where that is known. */
  readonly expected?: GuestVirtual;
  /** The `struct module` whose driver it is; 0 for the kernel's own. */
  readonly module?: GuestVirtual;
};

type Problem = (reason: string) => void;

const MAX_TTYS = 65_536;
const MAX_LINE_DISCIPLINES = 64;
const MAX_NAME = 64;
/** The line discipline that all terminals begin with (include/uapi/linux/tty.h). */
const N_TTY = 0;

/**
 * The tables of terminal drivers, open terminals and line disciplines (drivers/tty/tty_io.c,
 * tty_ldisc.c). No list leads to pseudo terminals: those are looked at that control one of `tasks`,
 * with their masters.
 */
export function* ttyOperations(
  kernel: Kernel,
  tasks: Iterable<GuestVirtual>,
  budget: Budget,
  problem: Problem,
): Generator<TtyOperations> {
  const head = kernel.requireSymbol("tty_drivers");
  const link = kernel.offset("tty_driver", "tty_drivers");
  const owner = kernel.reader("tty_driver", "owner");
  const nameOf = kernel.reader("tty_driver", "driver_name");
  const terminals = new Set<GuestVirtual>();
  for (const driver of listSnapshot(kernel, head, link, budget, problem)) {
    const what = `terminal driver ${text(kernel, nameOf(driver)) ?? "without a name"}`;
    const table = operations(kernel, driver, "tty_driver", what, "tty_operations");
    yield { ...table, module: owner(driver) };
    for (const tty of opened(kernel, driver, budget)) terminals.add(tty);
  }
  for (const tty of controlling(kernel, tasks)) terminals.add(tty);
  const registered = [...disciplines(kernel)];
  yield* registered;
  const tables = registered.map(({ table }) => table);
  for (const tty of terminals) yield* terminal(kernel, tty, tables);
}

function* disciplines(kernel: Kernel): Generator<TtyOperations> {
  const first = kernel.symbol("tty_ldiscs");
  const size = kernel.symbols.at(first)?.size ?? 0;
  const own = kernel.symbol("n_tty_ops");
  for (let number = 0; number < Math.min(size / 8, MAX_LINE_DISCIPLINES); number++) {
    const slot = first + number * 8;
    const table = kernel.space.pointer(slot);
    const expected = number === N_TTY && own === own ? { expected: own } : {};
    yield { what: `line discipline ${number}`, struct: "tty_ldisc_ops", slot, table, ...expected };
  }
}

function* opened(kernel: Kernel, driver: GuestVirtual, budget: Budget): Generator<GuestVirtual> {
  const array = kernel.reader("tty_driver", "ttys")(driver);
  const count = Math.min(kernel.reader("tty_driver", "num")(driver), MAX_TTYS);
  // Pseudo terminals have no array.
  if (!(array < 0)) return;
  for (let index = 0; index < count && budget.step(); index++) {
    const tty = kernel.space.pointer(array + index * 8);
    if (tty < 0) yield tty;
  }
}

/** Of a pseudo terminal both ends: what is typed passes through the master. */
function* controlling(kernel: Kernel, tasks: Iterable<GuestVirtual>): Generator<GuestVirtual> {
  const signal = kernel.reader("task_struct", "signal");
  const ttyOf = kernel.reader("signal_struct", "tty");
  const other = kernel.reader("tty_struct", "link");
  for (const task of tasks) {
    const tty = ttyOf(signal(task));
    if (!(tty < 0)) continue;
    yield tty;
    const peer = other(tty);
    if (peer < 0) yield peer;
  }
}

/** A terminal has its driver's table, and one of the line disciplines that there are. */
function* terminal(
  kernel: Kernel,
  tty: GuestVirtual,
  disciplineTables: readonly GuestVirtual[],
): Generator<TtyOperations> {
  const name = kernel.space.string(kernel.reader("tty_struct", "name")(tty), MAX_NAME) ?? "";
  const driver = kernel.reader("tty_struct", "driver")(tty);
  const own = operations(kernel, tty, "tty_struct", `terminal ${name}`, "tty_operations");
  yield { ...own, expected: kernel.reader("tty_driver", "ops")(driver) };
  const discipline = kernel.reader("tty_struct", "ldisc")(tty);
  if (!(discipline < 0)) return;
  const what = `terminal ${name}'s line discipline`;
  const passed = operations(kernel, discipline, "tty_ldisc", what, "tty_ldisc_ops");
  // It may be any that is registered; the usual one stands for them.
  const known = disciplineTables.includes(passed.table);
  yield known ? passed : { ...passed, expected: disciplineTables[N_TTY] };
}

function operations(
  kernel: Kernel,
  object: GuestVirtual,
  holder: string,
  what: string,
  struct: TtyOperations["struct"],
): TtyOperations {
  const slot = object + kernel.offset(holder, "ops");
  return { what, struct, slot, table: kernel.space.pointer(slot) };
}

function text(kernel: Kernel, address: GuestVirtual): string | undefined {
  return address < 0 ? kernel.space.string(address, MAX_NAME) : undefined;
}
