import type { Budget } from "../base/budget.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { Modules } from "./module.ts";
import { ModuleSymbols } from "./module-symbols.ts";
import { ModuleTypes } from "./module-types.ts";

/** VMADDR_CID_ANY and VMADDR_PORT_ANY (include/uapi/linux/vm_sockets.h). */
const ANY = 0xffff_ffff;
/** VSOCK_HASH_SIZE (include/net/af_vsock.h); the bind table has one more, for sockets without a port. */
const VSOCK_HASH_SIZE = 251;
const TABLES = [
  { table: "vsock.bound", symbol: "vsock_bind_table", link: "bound_table", lists: 252 },
  {
    table: "vsock.connected",
    symbol: "vsock_connected_table",
    link: "connected_table",
    lists: VSOCK_HASH_SIZE,
  },
];
const LIST_HEAD_SIZE = 16;

/** The two ends of a socket between virtual machines, as `ss` writes them: `2:1024`, `*:*`. */
export type VsockEnds = { readonly local: string; readonly remote: string };

/** Reads `struct vsock_sock` (include/net/af_vsock.h), whose types only the module vsock has. */
export class VsockSockets {
  readonly #kernel: Kernel;
  readonly #types: ModuleTypes;
  readonly #localCid: Reader | undefined;
  readonly #localPort: Reader | undefined;
  readonly #remoteCid: Reader | undefined;
  readonly #remotePort: Reader | undefined;

  constructor(kernel: Kernel) {
    const types = new ModuleTypes(kernel);
    const field = (path: string): Reader | undefined => types.reader("vsock", "vsock_sock", path);
    this.#kernel = kernel;
    this.#types = types;
    this.#localCid = field("local_addr.svm_cid");
    this.#localPort = field("local_addr.svm_port");
    this.#remoteCid = field("remote_addr.svm_cid");
    this.#remotePort = field("remote_addr.svm_port");
  }

  /** `?` where the module's types cannot be had. */
  ends(sock: GuestVirtual): VsockEnds {
    return {
      local: end(this.#localCid?.(sock), this.#localPort?.(sock)),
      remote: end(this.#remoteCid?.(sock), this.#remotePort?.(sock)),
    };
  }

  /** Sockets of the module's tables; none where the module is not loaded. */
  *entries(
    budget: Budget,
    problem: (reason: string) => void,
  ): Generator<{ readonly table: string; readonly sock: GuestVirtual }> {
    const symbols = this.#symbols(budget, problem);
    if (symbols === undefined) return;
    const types = this.#types.of("vsock");
    if (typeof types === "string") {
      problem(`the tables of vsock sockets cannot be read: ${types}`);
      return;
    }
    for (const { table, symbol, link, lists } of TABLES) {
      const offset = types.offset("vsock_sock", link);
      const first = symbols.address(symbol);
      for (let index = 0; index < lists; index++) {
        const head = first + index * LIST_HEAD_SIZE;
        for (const sock of listSnapshot(this.#kernel, head, offset, budget, problem)) {
          yield { table, sock };
        }
      }
    }
  }

  #symbols(budget: Budget, problem: (reason: string) => void) {
    const modules = new Modules(this.#kernel);
    for (const module of modules.list(budget, problem)) {
      if (modules.name(module) === "vsock") return new ModuleSymbols(this.#kernel).of(module);
    }
    return undefined;
  }
}

function end(cid: number | undefined, port: number | undefined): string {
  return `${part(cid)}:${part(port)}`;
}

function part(number: number | undefined): string {
  if (number === undefined || number !== number) return "?";
  return number === ANY ? "*" : String(number);
}
