import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { hashEntries, pointeeSize } from "./hash-table.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";
import { isHashed, settledWalk } from "./settled-walk.ts";

/**
 * Every TCP socket that owns a local port, from the table of bound ports (`inet_hashinfo.bhash`,
 * include/net/inet_hashtables.h): connections, listeners, and those that are bound and wait.
 */
export function* boundSockets(
  kernel: Kernel,
  info: GuestVirtual,
  budget: Budget,
  problem: (reason: string) => void,
): Generator<GuestVirtual> {
  const ports = {
    name: "the table of bound TCP ports",
    address: kernel.reader("inet_hashinfo", "bhash")(info),
    buckets: kernel.reader("inet_hashinfo", "bhash_size")(info),
    stride: pointeeSize(kernel, "inet_hashinfo", "bhash"),
    head: kernel.offset("inet_bind_hashbucket", "chain"),
    link: kernel.offset("inet_bind_bucket", "node"),
  };
  for (const port of hashEntries(kernel, ports, budget, problem)) {
    const node = port + ports.link;
    yield* settledWalk(
      kernel,
      (fault) => owners(kernel, port, budget, fault),
      () => isHashed(kernel, node),
      problem,
    );
  }
}

function* owners(
  kernel: Kernel,
  port: GuestVirtual,
  budget: Budget,
  problem: (reason: string) => void,
): Generator<GuestVirtual> {
  const link = kernel.offset("sock_common", "skc_bind_node");
  const direct = kernel.readerOf("inet_bind_bucket", "owners");
  if (direct !== undefined) {
    yield* hlistEntries(kernel, direct(port), link, budget, problem);
    return;
  }
  // Since 6.8 a port has a bucket for each address, which has the owners.
  const addresses = kernel.reader("inet_bind_bucket", "bhash2")(port);
  const node = kernel.offset("inet_bind2_bucket", "bhash_node");
  const ownersOf = kernel.reader("inet_bind2_bucket", "owners");
  for (const address of hlistEntries(kernel, addresses, node, budget, problem)) {
    yield* hlistEntries(kernel, ownersOf(address), link, budget, problem);
  }
}
