import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";

/** A network client of QEMU's: a card or what it is plugged into. */
export type NetworkClient = { readonly name: string; readonly type: string };

/** What `isolate` and `rejoin` did. */
export type LinkChange = {
  /** Every client whose link was set. */
  readonly clients: readonly NetworkClient[];
  readonly up: boolean;
};

/** A round for devices that were plugged in while the links were set. */
const ROUNDS = 3;

/**
 * Sets the link of every network client: with it down QEMU passes no frame in either direction
 * (net/net.c: qemu_deliver_packet and qemu_send_packet drop where link_down is set), and the guest's
 * cards lose their carrier. QEMU does not tell a link's state, so its list of clients is read again
 * afterwards: none may have come meanwhile. Throws KVMSEC_ISOLATE_FAILED.
 */
export async function setLinks(monitor: QmpConnection, up: boolean): Promise<LinkChange> {
  const done = new Map<string, NetworkClient>();
  for (let round = 0; round < ROUNDS; round++) {
    const left = (await networkClients(monitor)).filter(({ name }) => !done.has(name));
    if (left.length === 0) return { clients: [...done.values()], up };
    for (const client of left) {
      await monitor.execute("set_link", { name: client.name, up });
      done.set(client.name, client);
    }
  }
  throw new KvmsecError(
    "KVMSEC_ISOLATE_FAILED",
    "The guest gets new network devices faster than their links can be set.",
    { hint: "Freeze it first: kvmsec respond TARGET freeze" },
  );
}

/** All clients of QEMU's network, from `info network` (net/net.c: print_net_client). */
export async function networkClients(monitor: QmpConnection): Promise<NetworkClient[]> {
  return parseNetwork(await monitor.human("info network"));
}

/** Lines are `net0: index=0,type=nic,…`, peers are indented behind a backslash; hubs are no clients. */
export function parseNetwork(text: string): NetworkClient[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*(?:\\ )?(\S+): index=\d+,type=([a-z-]+)/.exec(line);
    return match === null ? [] : [{ name: match[1], type: match[2] }];
  });
}
