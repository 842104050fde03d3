import { readSockets } from "../linux/sockets.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import type { SocketSource } from "../linux/socket-sources.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { View } from "./view.ts";

export type SocketsOptions = {
  /** Look only through file descriptors, or only into the kernel's tables; both unless told. */
  readonly by?: SocketSource | "both";
};

/** The guest's sockets in all its network namespaces, by two independent ways. */
export const sockets: View<FoundSocket, SocketsOptions> = {
  schema: "kvmsec.sockets/1",
  list: "sockets",
  *read(kernel, { by = "both" }, problem) {
    const sources: readonly SocketSource[] = by === "both" ? ["fd", "hash"] : [by];
    yield* readSockets(kernel, sources, kernel.budget(), problem);
  },
  json: (row, kernel) => ({
    family: row.family,
    protocol: row.protocol,
    type: row.type ?? null,
    state: row.state,
    local: row.local,
    remote: row.remote,
    inode: row.inode,
    pids: pidsOf(row),
    fds: row.holders,
    uid: row.uid ?? null,
    netns: row.netns ?? null,
    kernel: row.kernel ?? null,
    kind: row.kind,
    seenBy: row.seenBy,
    missing: row.missing,
    tables: row.tables,
    sock: kernel.format(row.sock),
    ...details(row, kernel),
  }),
};

/** Processes that have a socket open, ascending, each once. */
export function pidsOf(row: Pick<FoundSocket, "holders">): number[] {
  return [...new Set(row.holders.map(({ pid }) => pid))].toSorted((a, b) => a - b);
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
