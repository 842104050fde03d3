import { distinctProcesses } from "../linux/named-process.ts";
import { readSockets } from "../linux/sockets.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import type { SocketSource } from "../linux/socket-sources.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { View } from "./view.ts";

export type SocketsOptions = {
  /** Look only through file descriptors, or only into the kernel's tables; both unless told. */
  readonly by?: SocketSource | "both";
  /** Only those that one of these processes has open. */
  readonly pid?: readonly number[];
  /** Only these protocols or families: `tcp`, `unix`, … */
  readonly protocol?: readonly string[];
  /** Only those that wait for connections, and datagram sockets that hear from anybody. */
  readonly listening?: boolean;
};

/** The guest's sockets in all its network namespaces, by two independent ways. */
export const sockets: View<FoundSocket, SocketsOptions> = {
  schema: "kvmsec.sockets/1",
  list: "sockets",
  *read(kernel, options, problem) {
    const { by = "both" } = options;
    const sources: readonly SocketSource[] = by === "both" ? ["fd", "hash"] : [by];
    for (const socket of readSockets(kernel, sources, kernel.budget(), problem)) {
      if (isWanted(socket, options)) yield socket;
    }
  },
  json: (row, kernel) => ({
    family: row.family,
    protocol: row.protocol,
    type: row.type ?? null,
    state: row.state,
    local: row.local,
    remote: row.remote,
    queues: row.queues ?? null,
    inode: row.inode,
    pids: distinctProcesses(row.holders).map(({ pid }) => pid),
    processes: distinctProcesses(row.holders),
    fds: row.holders,
    uid: row.uid ?? null,
    netns: row.netns ?? null,
    kernel: row.kernel ?? null,
    kind: row.kind,
    seenBy: row.seenBy,
    inFlight: row.inFlight,
    missing: row.missing,
    tables: row.tables,
    sock: kernel.format(row.sock),
    ...details(row, kernel),
  }),
};

function isWanted(row: FoundSocket, { pid, protocol, listening }: SocketsOptions): boolean {
  if (pid !== undefined && !row.holders.some((holder) => pid.includes(holder.pid))) return false;
  if (protocol?.includes(row.protocol) === false && !protocol.includes(row.family)) return false;
  return listening !== true || row.state === "LISTEN" || hearsAnybody(row);
}

function hearsAnybody({ state, local, family }: FoundSocket): boolean {
  return state === "UNCONN" && family.startsWith("inet") && !local.endsWith(":*");
}

/** What only some families have, as members of their own. */
function details({ filter, unix, packet, netlink }: FoundSocket, kernel: Kernel): object {
  return {
    ...(filter === undefined
      ? {}
      : {
          filter: {
            program: kernel.format(filter.program),
            length: filter.length,
            tag: filter.tag ?? null,
            classic: filter.classic ?? null,
          },
        }),
    ...(unix === undefined
      ? {}
      : {
          unix: {
            name: unix.name ?? null,
            abstract: unix.abstract,
            peer: unix.peer === 0 ? null : kernel.format(unix.peer),
            peerInode: unix.peerInode,
            peerName: unix.peerName ?? null,
          },
        }),
    ...(packet === undefined
      ? {}
      : {
          packet: {
            protocol: packet.protocol,
            ifindex: packet.ifindex,
            device: packet.device ?? null,
          },
        }),
    ...(netlink === undefined ? {} : { netlink }),
  };
}
