import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { namespaceReader } from "./net-namespace.ts";
import { TCP_NEW_SYN_RECV, TCP_TIME_WAIT, familyName, stateName } from "./socket-names.ts";

/**
 * What a pointer of a socket table leads to: a whole `struct sock`, or one of the two small kinds
 * that share only its beginning, `struct sock_common`.
 */
export type SockKind = "full" | "time-wait" | "request";

/** Reads `struct sock_common` and `struct sock` (include/net/sock.h). */
export class Socks {
  readonly kernel: Kernel;
  readonly family: Reader;
  readonly state: Reader;
  /** Network namespace. */
  readonly net: Reader;
  /** SO_BINDTODEVICE, 0 for none. */
  readonly boundDevice: Reader;
  readonly references: Reader;
  readonly type: Reader;
  readonly protocol: Reader;
  readonly uid: Reader;
  /** `struct socket`; 0 where no file belongs to the socket any more, or yet. */
  readonly socket: Reader;
  readonly filter: Reader;
  readonly #prot: Reader;
  readonly #netReferenced: Reader;
  readonly #socketSock: Reader;
  readonly #socketFile: Reader;
  readonly #filePrivate: Reader;
  readonly #fileInode: Reader;
  readonly #fileAlive: (file: GuestVirtual) => boolean;
  readonly #inodeOffset: number;
  readonly #inodeNumber: Reader;
  readonly #first: number;
  readonly #names = new Map<GuestVirtual, string | undefined>();

  constructor(kernel: Kernel) {
    const common = (member: string): Reader => kernel.reader("sock_common", member);
    const sock = (member: string): Reader => kernel.reader("sock", member);
    this.kernel = kernel;
    this.family = common("skc_family");
    this.state = common("skc_state");
    this.net = namespaceReader(kernel, "sock_common", "skc_net.net");
    this.boundDevice = common("skc_bound_dev_if");
    this.references = common("skc_refcnt.refs.counter");
    this.#prot = common("skc_prot");
    this.#netReferenced = common("skc_net_refcnt");
    this.#first = kernel.offset("sock_common", "skc_family");
    this.type = sock("sk_type");
    this.protocol = sock("sk_protocol");
    this.uid = sock("sk_uid.val");
    this.socket = sock("sk_socket");
    this.filter = sock("sk_filter");
    this.#socketSock = kernel.reader("socket", "sk");
    this.#socketFile = kernel.reader("socket", "file");
    this.#filePrivate = kernel.reader("file", "private_data");
    this.#fileInode = kernel.reader("file", "f_inode");
    this.#fileAlive = fileAlive(kernel);
    this.#inodeOffset = kernel.offset("socket_alloc", "vfs_inode");
    this.#inodeNumber = kernel.reader("inode", "i_ino");
  }

  kind(sock: GuestVirtual): SockKind {
    const state = this.state(sock);
    if (state === TCP_TIME_WAIT) return "time-wait";
    return state === TCP_NEW_SYN_RECV ? "request" : "full";
  }

  /**
   * Whether there is a live socket: freed ones have no references, and memory that holds something
   * else has no family, state or protocol.
   */
  plausible(sock: GuestVirtual): boolean {
    return (
      this.references(sock) > 0 &&
      familyName(this.family(sock)) !== undefined &&
      stateName(this.state(sock)) !== undefined &&
      this.protocolName(sock) !== undefined
    );
  }

  /** The kernel's name of the implementation, `TCPv6`; undefined where there is none. */
  protocolName(sock: GuestVirtual): string | undefined {
    const prot = this.#prot(sock);
    if (this.#names.has(prot)) return this.#names.get(prot);
    const at = prot + this.kernel.offset("proto", "name");
    const text = prot === 0 ? undefined : this.kernel.space.string(at, 32);
    const name = text !== undefined && /^[\x21-\x7e][\x20-\x7e]*$/.test(text) ? text : undefined;
    this.#names.set(prot, name);
    return name;
  }

  /** The kernel made it for itself: it holds no reference on its namespace. */
  ownedByKernel(sock: GuestVirtual): boolean {
    return this.#netReferenced(sock) === 0;
  }

  /** What may not change while the rest is read: addresses, hash, ports, family and state. */
  fingerprint(sock: GuestVirtual): string {
    const { space } = this.kernel;
    const at = sock + this.#first;
    return `${space.count(sock)}/${space.count(at - 8)}/${space.u32(at)}`;
  }

  /** Inode number of the socket that a full sock belongs to; 0 where there is none. */
  inode(socket: GuestVirtual): number {
    return socket === 0 ? 0 : this.#inodeNumber(socket + this.#inodeOffset);
  }

  /** The `struct socket` of a file; undefined for another file: a socket lies beside its file's inode. */
  ofFile(file: GuestVirtual): GuestVirtual | undefined {
    const socket = this.#filePrivate(file);
    const isOne = socket < 0 && this.#fileInode(file) === socket + this.#inodeOffset;
    return isOne ? socket : undefined;
  }

  /** The sock of a `struct socket`. */
  ofSocket(socket: GuestVirtual): GuestVirtual {
    return this.#socketSock(socket);
  }

  /** The file of a `struct socket`; 0 for one that only the kernel uses. */
  fileOf(socket: GuestVirtual): GuestVirtual {
    return socket === 0 ? 0 : this.#socketFile(socket);
  }

  /** Somebody holds the socket's file; one that is just being closed has it without a reference. */
  isOpen(socket: GuestVirtual): boolean {
    const file = this.fileOf(socket);
    return file < 0 && this.#fileAlive(file);
  }
}

/** A count of references before 6.13; then one less, negative when released (include/linux/file_ref.h). */
function fileAlive(kernel: Kernel): (file: GuestVirtual) => boolean {
  const references = kernel.readerOf("file", "f_ref.refcnt.counter");
  if (references !== undefined) return (file) => references(file) >= 0;
  const count = kernel.reader("file", "f_count.counter");
  return (file) => count(file) > 0;
}
