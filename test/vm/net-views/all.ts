import type { TestContext } from "node:test";
import { attach } from "../../../src/vm/guest.ts";
import type { Guest } from "../harness/guest.ts";
import { bootNetGuest, start } from "./guest.ts";
import type { NetGuest } from "./guest.ts";
import { handlersAreThoseOfProc, hooksAreThoseOfNft, makeHooks } from "./hooks.ts";
import {
  keptNamespaceIsSeen,
  layersAreThoseMounted,
  makeMounts,
  mountsAreThoseOfMountinfo,
} from "./mounts.ts";
import { devicesAreThoseOfIp, trafficIsThatOfIp, xdpIsThatOfIp } from "./netdevs.ts";
import {
  bothWaysAgree,
  churnLeavesNoGhosts,
  inetSocketsAreThoseOfSs,
  netlinkSocketsAreThoseOfProc,
  openSockets,
  otherInetSocketsAreThoseOfProc,
  packetSocketsAreThoseOfSs,
  selectionIsThatOfSs,
  unixSocketsAreThoseOfSs,
  vsockSocketsAreThoseOfSs,
} from "./sockets.ts";

/** Everything that the views of network and mounts show of one guest; `after` may break it. */
export async function compareNetViews(
  t: TestContext,
  shape: NetGuest,
  after: (guest: Guest) => Promise<unknown> = async () => {},
): Promise<void> {
  await using guest = await bootNetGuest(shape);
  using attached = await attach(`pid:${guest.pid}`);
  const { kernel } = attached;

  await openSockets(guest);
  await t.test("TCP, UDP and raw sockets are those of ss", () =>
    inetSocketsAreThoseOfSs(guest, kernel),
  );
  await t.test("by open files and by tables the same sockets are seen", () =>
    bothWaysAgree(kernel),
  );
  await t.test("listeners and one process's sockets are those of ss", () =>
    selectionIsThatOfSs(guest, kernel),
  );
  await t.test("UDP-Lite and ping sockets are those of /proc/net", () =>
    otherInetSocketsAreThoseOfProc(guest, kernel),
  );
  await t.test("unix sockets are those of ss", () => unixSocketsAreThoseOfSs(guest, kernel));
  await t.test("packet sockets and their filters are those of ss", () =>
    packetSocketsAreThoseOfSs(guest, kernel),
  );
  await t.test("netlink sockets are those of /proc/net/netlink", () =>
    netlinkSocketsAreThoseOfProc(guest, kernel),
  );

  await start(guest, "/usr/bin/socket-zoo xdp left");
  await t.test("devices and addresses are those of ip", () => devicesAreThoseOfIp(guest, kernel));
  await t.test("traffic is what ip counts", () => trafficIsThatOfIp(guest, kernel));
  await t.test("an XDP program is the one that ip shows", () => xdpIsThatOfIp(guest, kernel));

  await makeHooks(guest);
  await t.test("netfilter hooks are those of nft", () => hooksAreThoseOfNft(guest, kernel));
  await t.test("packet handlers are those of /proc/net/ptype", () =>
    handlersAreThoseOfProc(guest, kernel),
  );

  await makeMounts(guest);
  await t.test("mounts are those of mountinfo in every namespace", () =>
    mountsAreThoseOfMountinfo(guest, kernel),
  );
  await t.test("an overlay's layers are those that were mounted", () =>
    layersAreThoseMounted(kernel),
  );
  await t.test("a mount namespace without processes is seen", () =>
    keptNamespaceIsSeen(guest, kernel),
  );

  await t.test("sockets that come and go leave no ghosts", () =>
    churnLeavesNoGhosts(guest, kernel),
  );
  await t.test("vsock sockets are those of ss", () => vsockSocketsAreThoseOfSs(guest, kernel));
  await after(guest);
}
