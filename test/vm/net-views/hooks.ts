import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { netfilter } from "../../../src/views/netfilter.ts";
import { packetHandlers } from "../../../src/views/packet-handlers.ts";
import type { Guest } from "../harness/guest.ts";
import { assertSameLines, netnsOf, rowsOf, within } from "./guest.ts";

type HookJson = {
  family: string;
  hook: string;
  priority: number;
  device: string | null;
  netns: number;
  symbol: string;
  owner: string | null;
};

type HandlerJson = {
  protocol: number;
  device: string | null;
  netns: number | null;
  symbol: string;
  owner: string | null;
};

const rules = `
table inet guard {
  chain in { type filter hook input priority filter + 5; policy accept; ct state new accept; }
  chain pre { type filter hook prerouting priority -301; policy accept; }
}
table arp a { chain o { type filter hook output priority 7; }; }
table bridge b { chain f { type filter hook forward priority 9; }; }
table netdev n { chain i { type filter hook ingress device lo priority -20; }; }
`;

/** What the rules ask for, as `family hook device priority`. */
const asked = [
  "arp output null 7",
  "bridge forward null 9",
  "ipv4 input null 5",
  "ipv4 prerouting null -301",
  "ipv6 input null 5",
  "ipv6 prerouting null -301",
  "netdev ingress lo -20",
];

/** Loads the rules, and takes one hook away again, whose place stays behind for a while. */
export async function makeHooks(guest: Guest): Promise<void> {
  await guest.run("modprobe -a nf_tables nf_conntrack nft_ct");
  await guest.put("/tmp/rules", rules);
  await guest.run("nft -f /tmp/rules");
  const chain = "{ type filter hook input priority 99; }";
  await guest.run(`nft "table ip t { chain c ${chain}; }; delete table ip t"`);
}

export async function hooksAreThoseOfNft(guest: Guest, kernel: Kernel): Promise<void> {
  const netns = await netnsOf(guest);
  const rows = rowsOf<unknown, object, HookJson>(kernel, netfilter, {});
  const own = rows.filter((row) => row.netns === netns);
  const chains = own.filter((row) => row.owner === "nf_tables");
  assertSameLines(
    chains.map((row) => `${row.family} ${row.hook} ${row.device} ${row.priority}`),
    asked,
  );
  assert.ok(chains.every((row) => /^nft_do_chain\w* \[nf_tables\]$/.test(row.symbol)));
  assert.ok(rows.every((row) => row.owner !== null));
  // The kernel tells its hooks itself since 5.14, where that is built.
  if ((await guest.attempt("modprobe nfnetlink_hook")).status !== 0) return;
  const told = nftHooks(await guest.run("nft list hooks"));
  assert.ok(told.length > 5);
  const listed = own.filter((row) => ["ipv4", "ipv6", "bridge"].includes(row.family));
  assert.deepEqual(
    listed.map(({ family, hook, priority, symbol }) => {
      const called = symbol.startsWith("nft_do_chain") ? "chain" : symbol;
      return `${family} ${hook} ${priority} ${called}`;
    }),
    told,
  );
}

/** Lines of `nft list hooks` as `family hook priority function`. */
function nftHooks(text: string): string[] {
  const families: Record<string, string> = { ip: "ipv4", ip6: "ipv6" };
  const found: string[] = [];
  let [family, hook] = ["", ""];
  for (const line of text.split("\n")) {
    const [, newFamily] = /^family (\w+) /.exec(line) ?? [];
    const [, newHook] = /^\thook (\w+) /.exec(line) ?? [];
    if (newFamily !== undefined) family = families[newFamily] ?? newFamily;
    if (newHook !== undefined) hook = newHook;
    const [, priority, what] = /^\t\t\s*([+-]?\d+) (.*)$/.exec(line) ?? [];
    if (priority === undefined) continue;
    found.push(
      `${family} ${hook} ${Number(priority)} ${what.startsWith("chain") ? "chain" : what}`,
    );
  }
  return found;
}

/** Packet handlers of both namespaces, as /proc/net/ptype has them. */
export async function handlersAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = rowsOf<unknown, object, HandlerJson>(kernel, packetHandlers, {});
  assert.ok(rows.every((row) => row.owner !== null));
  for (const name of [undefined, "blue"]) {
    const netns = await netnsOf(guest, name);
    const text = await guest.run(within(name, "cat /proc/net/ptype"));
    const expected = text
      .split("\n")
      .slice(1)
      .filter((line) => line !== "")
      .map((line) => line.trim().replaceAll(/\s+/g, " "));
    const own = rows.filter((row) => row.netns === null || row.netns === netns);
    assert.ok(expected.some((line) => line.startsWith("ALL")));
    assertSameLines(own.map(handlerLine), expected);
  }
}

function handlerLine({ protocol, device, symbol }: HandlerJson): string {
  const type = protocol === 3 ? "ALL" : protocol.toString(16).padStart(4, "0");
  return [type, device, symbol].filter((word) => word !== null).join(" ");
}
