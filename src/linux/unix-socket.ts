import type { GuestVirtual } from "../base/address.ts";
import type { HashTable } from "./hash-table.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import type { Socks } from "./sock.ts";

/** What a unix socket has beside the common things. */
export type UnixSocket = {
  /** `/run/x.sock`; `@name` for an abstract one, with every further NUL shown as `@`, as in `ss`. */
  readonly name: string | undefined;
  readonly abstract: boolean;
  /** The `struct sock` at the other end; 0 for none. */
  readonly peer: GuestVirtual;
  /** Inode number of the socket at the other end. */
  readonly peerInode: number;
  readonly peerName: string | undefined;
};

/** UNIX_HASH_SIZE (include/net/af_unix.h): named and nameless sockets, 256 buckets each. */
const UNIX_HASH_SIZE = 512;
const SUN_PATH_SIZE = 108;
const SUN_PATH = 2;

/** Decodes `struct unix_sock` (include/net/af_unix.h). */
export class UnixSockets {
  readonly #kernel: Kernel;
  readonly #socks: Socks;
  readonly #address: Reader;
  readonly #peer: Reader;
  readonly #length: Reader;
  readonly #name: Reader;

  constructor(kernel: Kernel, socks: Socks) {
    this.#kernel = kernel;
    this.#socks = socks;
    this.#address = kernel.reader("unix_sock", "addr");
    this.#peer = kernel.reader("unix_sock", "peer");
    this.#length = kernel.reader("unix_address", "len");
    this.#name = kernel.reader("unix_address", "name");
  }

  decode(sock: GuestVirtual): UnixSocket {
    const name = this.#nameOf(sock);
    const peer = this.#peer(sock);
    const known = peer === peer && peer !== 0;
    return {
      name,
      abstract: name?.startsWith("@") ?? false,
      peer,
      peerInode: known ? this.#socks.inode(this.#socks.socket(peer)) : 0,
      peerName: known ? this.#nameOf(peer) : undefined,
    };
  }

  /** `sun_path` as far as `unix_address.len` says, without the family before it. */
  #nameOf(sock: GuestVirtual): string | undefined {
    const address = this.#address(sock);
    if (address === 0 || address !== address) return undefined;
    const length = Math.min(this.#length(address) - SUN_PATH, SUN_PATH_SIZE);
    if (!(length > 0)) return undefined;
    const raw = this.#kernel.space.bytes(this.#name(address) + SUN_PATH, length);
    if (raw === undefined) return undefined;
    const text = Buffer.from(raw).toString("utf8");
    return raw[0] === 0 ? text.replaceAll("\0", "@") : text.replace(/\0.*$/s, "");
  }
}

/** The tables of unix sockets: one of the whole system before 5.20, then one of each namespace. */
export function unixTables(kernel: Kernel, nets: readonly GuestVirtual[]): HashTable[] {
  const perNet = kernel.readerOf("net", "unx.table.buckets");
  const places =
    perNet === undefined ? [kernel.symbol("unix_socket_table")] : nets.map((net) => perNet(net));
  return [...new Set(places)].map((address) => ({
    name: "the table of unix sockets",
    address,
    buckets: UNIX_HASH_SIZE,
    stride: kernel.types.size("hlist_head"),
    head: 0,
    link: kernel.offset("sock_common", "skc_node"),
  }));
}
