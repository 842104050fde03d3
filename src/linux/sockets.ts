import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { SocketDecoder } from "./socket.ts";
import type { Socket } from "./socket.ts";
import { SocketFiles } from "./socket-files.ts";
import type { OpenSocket, SocketHolder } from "./socket-files.ts";
import { SocketsInFlight } from "./socket-flight.ts";
import { AF_UNIX } from "./socket-names.ts";
import { expectedSources } from "./socket-sources.ts";
import type { SocketSource } from "./socket-sources.ts";
import { socketTableEntries } from "./socket-tables.ts";

/** A socket with who has it open and where it was found. */
export type FoundSocket = Socket & {
  readonly holders: readonly SocketHolder[];
  readonly seenBy: readonly SocketSource[];
  /** Sent to another process that has not taken it yet: then nobody has it open. */
  readonly inFlight: boolean;
  /** Where it should have been seen and was not, in repeated looks. */
  readonly missing: readonly SocketSource[];
  /** The tables that hold it, as the kernel calls them: `ehash`, `lhash2`, `udp.hash`, `unix`, … */
  readonly tables: readonly string[];
};

const SOURCES: readonly SocketSource[] = ["fd", "hash"];

type Problem = (reason: string) => void;
type Sighting = { open: OpenSocket | undefined; readonly tables: Set<string> };

/** What one look found, by the address of the `struct sock`. */
type Look = {
  readonly sightings: Map<GuestVirtual, Sighting>;
  readonly open: ReadonlyMap<GuestVirtual, OpenSocket>;
  /** Every `struct socket` that lies in a queue. */
  readonly inFlight: ReadonlySet<GuestVirtual>;
  /** Ways that could not be walked to their end: nothing counts as missing there. */
  readonly cutShort: ReadonlySet<SocketSource>;
};

/**
 * Milliseconds before each further look at what is in doubt. A processor of the guest may stand
 * still for a while in the middle of opening or closing a socket, when its host is busy.
 */
const PAUSES = [0, 50];

/**
 * All sockets of all network namespaces, merged by the address of their `struct sock`. The two ways
 * are not walked at the same moment: where they differ in what they should agree on, both are
 * walked again, and what is gone by then is left out.
 */
export function readSockets(
  kernel: Kernel,
  sources: readonly SocketSource[],
  budget: Budget,
  problem: Problem,
): FoundSocket[] {
  const decoder = new SocketDecoder(kernel);
  const first = lookOnce(kernel, decoder, sources, budget, problem);
  let rows = decodeAll(decoder, first, sources, budget, problem);
  for (const pause of PAUSES) {
    if (!rows.some(isDoubtful)) break;
    if (kernel.memory.live) sleep(pause);
    kernel.refresh();
    const again = lookOnce(kernel, decoder, sources, budget, problem);
    rows = rows.flatMap((row) =>
      isDoubtful(row) ? confirm(row, decodeOne(decoder, row.sock, again, sources)) : [row],
    );
  }
  return rows;
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function isDoubtful(row: FoundSocket): boolean {
  return row.missing.length > 0;
}

/** What is at the same address now: the same socket, another one of which nothing is known, or none. */
function confirm(row: FoundSocket, [now]: readonly FoundSocket[]): FoundSocket[] {
  if (now === undefined) return [];
  const same = now.inode === row.inode && now.local === row.local && now.remote === row.remote;
  if (!same) return [{ ...now, missing: [] }];
  const seenBy = new Set([...row.seenBy, ...now.seenBy]);
  return [
    {
      ...now,
      seenBy: SOURCES.filter((source) => seenBy.has(source)),
      missing: now.missing.filter((source) => !seenBy.has(source)),
      tables: [...new Set([...row.tables, ...now.tables])],
    },
  ];
}

function lookOnce(
  kernel: Kernel,
  decoder: SocketDecoder,
  sources: readonly SocketSource[],
  budget: Budget,
  problem: Problem,
): Look {
  const sightings = new Map<GuestVirtual, Sighting>();
  const at = (sock: GuestVirtual): Sighting => {
    let sighting = sightings.get(sock);
    if (sighting === undefined) {
      sighting = { open: undefined, tables: new Set() };
      sightings.set(sock, sighting);
    }
    return sighting;
  };
  const cutShort = new Set<SocketSource>();
  const problemOf = (source: SocketSource) => (reason: string) => {
    cutShort.add(source);
    problem(reason);
  };
  const open = new SocketFiles(kernel, decoder.socks).read(budget, problemOf("fd"));
  if (sources.includes("fd")) {
    for (const each of open.values()) at(each.sock).open = each;
  }
  if (sources.includes("hash")) {
    const unhashed = problemOf("hash");
    const nets = decoder.namespaces.all(budget, unhashed);
    for (const { table, sock } of socketTableEntries(kernel, nets, budget, unhashed)) {
      at(sock).tables.add(table);
    }
    for (const { table, sock } of decoder.vsock.entries(budget, unhashed)) {
      at(sock).tables.add(table);
    }
  }
  const receivers = [...sightings.keys()].filter((sock) => decoder.socks.family(sock) === AF_UNIX);
  if (receivers.length === 0) return { sightings, open, inFlight: new Set(), cutShort };
  const flight = new SocketsInFlight(kernel, decoder.socks);
  const inFlight = flight.read(receivers, budget, problemOf("fd"));
  return { sightings, open, inFlight, cutShort };
}

function decodeAll(
  decoder: SocketDecoder,
  look: Look,
  sources: readonly SocketSource[],
  budget: Budget,
  problem: Problem,
): FoundSocket[] {
  const rows: FoundSocket[] = [];
  for (const sock of look.sightings.keys()) {
    if (!budget.step()) {
      problem("the time for reading sockets is over");
      break;
    }
    rows.push(...decodeOne(decoder, sock, look, sources));
  }
  return rows;
}

/** Nothing where there is no socket any more. */
function decodeOne(
  decoder: SocketDecoder,
  sock: GuestVirtual,
  { sightings, open: allOpen, inFlight: queued, cutShort }: Look,
  sources: readonly SocketSource[],
): FoundSocket[] {
  const socket = decoder.decode(sock);
  const sighting = sightings.get(sock);
  if (socket === undefined || sighting === undefined) return [];
  const { open, tables } = sighting;
  // A subflow of MPTCP has no file of its own, but the socket that it works for has.
  const holders = (open ?? allOpen.get(socket.socket))?.holders ?? [];
  const seenBy: SocketSource[] = [];
  if (open !== undefined) seenBy.push("fd");
  if (tables.size > 0) seenBy.push("hash");
  const inFlight = queued.has(socket.socket);
  const missing = expectedSources(socket, decoder.socks).filter(
    (source) =>
      sources.includes(source) &&
      !cutShort.has(source) &&
      !seenBy.includes(source) &&
      !(source === "fd" && inFlight),
  );
  return [{ ...socket, holders, seenBy, inFlight, missing, tables: [...tables] }];
}
