import { libc } from "./libc.ts";

// Safe: numbers only (socket(2), close(2)).
const socket = libc.func("int socket(int domain, int type, int protocol)");
const close = libc.func("int close(int fd)");
// Safe: both buffers are ours, live through the call, and are given with their own lengths (sendto(2)).
const sendto = libc.func(
  "long sendto(int fd, const uint8_t *data, size_t length, int flags, const uint8_t *address, unsigned int size)",
);

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
/** sizeof(sockaddr_un.sun_path), unix(7). */
const MAX_PATH = 108;

/**
 * Sends one datagram to a unix socket without waiting; false where it did not go. A path that
 * begins with `@` is in the abstract namespace (unix(7)). Node itself has no datagrams for these.
 */
export function sendDatagram(path: string, text: string): boolean {
  const name = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : path);
  if (name.length === 0 || name.length >= MAX_PATH) return false;
  const address = Buffer.alloc(2 + name.length);
  address.writeUInt16LE(AF_UNIX);
  name.copy(address, 2);
  const data = Buffer.from(text);
  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0) as number;
  if (fd < 0) return false;
  try {
    const sent = sendto(fd, data, data.length, MSG_DONTWAIT_NOSIGNAL, address, address.length);
    return Number(sent) === data.length;
  } finally {
    close(fd);
  }
}
