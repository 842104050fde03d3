import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { SocketDecoder } from "./socket.ts";
import type { Socket } from "./socket.ts";
import { SocketFiles } from "./socket-files.ts";
import type { OpenSocket, SocketHolder } from "./socket-files.ts";
import { socketTableEntries } from "./socket-tables.ts";

/** The two independent ways to a socket: a process has it open; a table of the kernel holds it. */
export type SocketSource = "fd" | "hash";

/** A socket with who has it open and where it was found. */
export type FoundSocket = Socket & {
  readonly holders: readonly SocketHolder[];
  readonly seenBy: readonly SocketSource[];
  /** The tables that hold it, as the kernel calls them: `ehash`, `lhash2`, `udp.hash`, `unix`, … */
  readonly tables: readonly string[];
};

type Sighting = { open: OpenSocket | undefined; readonly tables: Set<string> };

/** All sockets of all network namespaces, merged by the address of their `struct sock`. */
export function readSockets(
  kernel: Kernel,
  sources: readonly SocketSource[],
  budget: Budget,
  problem: (reason: string) => void,
): FoundSocket[] {
  const decoder = new SocketDecoder(kernel);
  const sightings = new Map<GuestVirtual, Sighting>();
  const at = (sock: GuestVirtual): Sighting => {
    let sighting = sightings.get(sock);
    if (sighting === undefined) {
      sighting = { open: undefined, tables: new Set() };
      sightings.set(sock, sighting);
    }
    return sighting;
  };
  const open = new SocketFiles(kernel, decoder.socks).read(budget, problem);
  if (sources.includes("fd")) {
    for (const each of open.values()) at(each.sock).open = each;
  }
  if (sources.includes("hash")) {
    const nets = decoder.namespaces.all(budget, problem);
    for (const { table, sock } of socketTableEntries(kernel, nets, budget, problem)) {
      at(sock).tables.add(table);
    }
  }
  return [...sightings].flatMap(([sock, sighting]) => {
    const socket = decoder.decode(sock);
    return socket === undefined ? [] : [found(socket, sighting, open)];
  });
}

function found(
  socket: Socket,
  { open, tables }: Sighting,
  allOpen: ReadonlyMap<GuestVirtual, OpenSocket>,
): FoundSocket {
  // A subflow of MPTCP has no file of its own, but the socket that it works for has.
  const holders = (open ?? allOpen.get(socket.socket))?.holders ?? [];
  const seenBy: SocketSource[] = [];
  if (open !== undefined) seenBy.push("fd");
  if (tables.size > 0) seenBy.push("hash");
  return { ...socket, holders, seenBy, tables: [...tables] };
}
