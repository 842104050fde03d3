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
};

type Problem = (reason: string) => void;

const MAX_TTYS = 65_536;
const MAX_LINE_DISCIPLINES = 64;
const MAX_NAME = 64;

/** The tables of terminal drivers, open terminals and line disciplines (drivers/tty/tty_io.c, tty_ldisc.c). */
export function* ttyOperations(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<TtyOperations> {
  const head = kernel.requireSymbol("tty_drivers");
  const link = kernel.offset("tty_driver", "tty_drivers");
  for (const driver of listSnapshot(kernel, head, link, budget, problem)) {
    const name =
      text(kernel, kernel.reader("tty_driver", "driver_name")(driver)) ?? "without a name";
    yield operations(
      kernel,
      driver,
      "tty_driver",
      "ops",
      `terminal driver ${name}`,
      "tty_operations",
    );
    yield* terminals(kernel, driver, budget);
  }
  const disciplines = kernel.symbol("tty_ldiscs");
  const size = kernel.symbols.at(disciplines)?.size ?? 0;
  for (let number = 0; number < Math.min(size / 8, MAX_LINE_DISCIPLINES); number++) {
    const slot = disciplines + number * 8;
    const table = kernel.space.pointer(slot);
    yield { what: `line discipline ${number}`, struct: "tty_ldisc_ops", slot, table };
  }
}

function* terminals(
  kernel: Kernel,
  driver: GuestVirtual,
  budget: Budget,
): Generator<TtyOperations> {
  const array = kernel.reader("tty_driver", "ttys")(driver);
  const count = Math.min(kernel.reader("tty_driver", "num")(driver), MAX_TTYS);
  // Pseudo terminals have no array: their masters and slaves are found through files.
  if (!(array < 0)) return;
  for (let index = 0; index < count && budget.step(); index++) {
    const tty = kernel.space.pointer(array + index * 8);
    if (!(tty < 0)) continue;
    const name = kernel.space.string(kernel.reader("tty_struct", "name")(tty), MAX_NAME) ?? "";
    yield operations(kernel, tty, "tty_struct", "ops", `terminal ${name}`, "tty_operations");
    const discipline = kernel.reader("tty_struct", "ldisc")(tty);
    if (!(discipline < 0)) continue;
    yield operations(
      kernel,
      discipline,
      "tty_ldisc",
      "ops",
      `terminal ${name}'s line discipline`,
      "tty_ldisc_ops",
    );
  }
}

function operations(
  kernel: Kernel,
  object: GuestVirtual,
  holder: string,
  member: string,
  what: string,
  struct: TtyOperations["struct"],
): TtyOperations {
  const slot = object + kernel.offset(holder, member);
  return { what, struct, slot, table: kernel.space.pointer(slot) };
}

function text(kernel: Kernel, address: GuestVirtual): string | undefined {
  return address < 0 ? kernel.space.string(address, MAX_NAME) : undefined;
}
