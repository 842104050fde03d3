import type { GuestVirtual } from "../base/address.ts";
import type { CodeOwners } from "./code-owner.ts";
import type { Kernel } from "./kernel.ts";
import { firstExit, RETURNS } from "./syscall-dispatch.ts";
import type { Handlers } from "./syscall-dispatch.ts";
import { untracedCode } from "./untraced-code.ts";

/** How functions for system calls are called (arch/x86/include/asm/syscall_wrapper.h). */
const PREFIXES = ["__x64_", "__x32_", "__ia32_"];
const BODY = /^__(?:se|do)_((?:compat_)?sys_\w+)/;
const UNKNOWN_CALL = /^__(x64|x32|ia32)_sys_ni_syscall$/;
/** More than a handler needs that only takes its arguments and goes on. */
const MAX_START = 64;
const MAX_HANDLERS = 8192;

/**
 * The functions that a dispatcher may have in place of calls: with LTO, clang writes short ones into
 * the dispatcher. Each is known by where its own copy leads.
 */
export class SyscallHandlers implements Handlers {
  readonly #kernel: Kernel;
  readonly #owners: CodeOwners;
  /** What the kernel's table names, by number. */
  readonly #listed: readonly GuestVirtual[];
  #byExit: ReadonlyMap<number, GuestVirtual> | undefined;

  constructor(kernel: Kernel, owners: CodeOwners, listed: readonly GuestVirtual[]) {
    this.#kernel = kernel;
    this.#owners = owners;
    this.#listed = listed;
  }

  handlerOf(number: number, exit: GuestVirtual): GuestVirtual {
    const listed = this.#listed[number] ?? Number.NaN;
    if (exit === listed || this.#exitOf(listed) === exit) return listed;
    const wrappers = this.#wrappersOf(exit);
    if (listed === listed) return wrappers.includes(listed) ? listed : exit;
    if (this.#isHandler(exit)) return exit;
    this.#byExit ??= this.#everyHandler();
    return wrappers[0] ?? this.#byExit.get(exit) ?? exit;
  }

  #isHandler(address: GuestVirtual): boolean {
    const { symbols } = this.#kernel;
    const { first, end } = symbols.range(address, address + 1);
    for (let index = first; index < end; index++) {
      const name = symbols.name(index);
      if (PREFIXES.some((prefix) => name.startsWith(prefix))) return true;
    }
    return false;
  }

  /** `__se_sys_NAME` is what `__x64_sys_NAME` calls, where its own copy did not take it in. */
  #wrappersOf(body: GuestVirtual): GuestVirtual[] {
    const symbol = this.#kernel.symbols.at(body);
    const [, name] = (symbol?.offset === 0 && BODY.exec(symbol.name)) || [];
    if (name === undefined) return [];
    return PREFIXES.map((prefix) => this.#kernel.symbol(prefix + name)).filter((at) => at === at);
  }

  /** Each by where its own copy leads; thousands are read for that. */
  #everyHandler(): Map<number, GuestVirtual> {
    const { symbols } = this.#kernel;
    let seen = 0;
    const byExit = new Map<number, GuestVirtual>();
    for (const prefix of PREFIXES) {
      for (const index of symbols.startingWith(prefix)) {
        if (seen++ >= MAX_HANDLERS) break;
        const handler = symbols.addresses[index];
        const exit = this.#exitOf(handler);
        // Many return at once; only one of them stands for calls that are not there.
        const counts = exit !== RETURNS || UNKNOWN_CALL.test(symbols.name(index));
        if (counts && exit === exit && !byExit.has(exit)) byExit.set(exit, handler);
      }
    }
    return byExit;
  }

  #exitOf(handler: GuestVirtual): GuestVirtual {
    const size = Math.min(this.#kernel.symbols.at(handler)?.size ?? 0, MAX_START);
    const code = size > 0 ? this.#kernel.space.bytes(handler, size) : undefined;
    if (code === undefined) return Number.NaN;
    const plain = untracedCode(this.#owners, code, handler);
    return firstExit({ code: plain, address: handler, pointer: () => Number.NaN });
  }
}
