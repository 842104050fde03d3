import type { Socks } from "./sock.ts";
import type { Socket } from "./socket.ts";

/** The two independent ways to a socket: a process has it open; a table of the kernel holds it. */
export type SocketSource = "fd" | "hash";

/** Where a socket has to be found, unless it is in flight. */
export function expectedSources(socket: Socket, socks: Socks): SocketSource[] {
  const sources: SocketSource[] = [];
  if (hasFile(socket, socks)) sources.push("fd");
  if (isHashed(socket)) sources.push("hash");
  return sources;
}

/** Its file leads to it: not so for what the kernel made for itself, or what waits to be accepted. */
function hasFile({ kind, kernel, socket, sock }: Socket, socks: Socks): boolean {
  const isUsers = kind === "full" && kernel === false;
  return isUsers && socks.isOpen(socket) && socks.ofSocket(socket) === sock;
}

/** Whether the kernel keeps sockets of that kind and state in a table. */
function isHashed({ kind, protocol, family, state, local, netlink }: Socket): boolean {
  if (kind !== "full") return true;
  switch (protocol) {
    case "tcp":
      return state !== "UNCONN";
    case "udp":
    case "udplite":
      return !local.endsWith(":*");
    case "raw":
    case "unix":
    case "packet":
      return true;
    default:
      // A netlink socket is inserted when it gets its port number.
      return family === "netlink" && netlink !== undefined && netlink.portId !== 0;
  }
}
