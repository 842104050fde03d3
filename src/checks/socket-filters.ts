import { magicConstants } from "../linux/magic-filter.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import type { Check, CheckContext } from "./check.ts";
import { isVolatilePath, withoutDeleted } from "./paths.ts";
import { processes, sockets } from "./user-facts.ts";

type Holder = { readonly pid: number; readonly comm: string; readonly exe: string | undefined };

/** Families whose sockets see packets of others; netlink's and local ones see the machine's own. */
const FROM_OUTSIDE: ReadonlySet<string> = new Set(["packet", "inet", "inet6"]);

/** No packet socket waits for a magic packet. */
export const socketFilters: Check = {
  id: "socket-filters",
  proves:
    "No filter of a packet, raw, UDP or TCP socket looks for constants inside what packets carry, and no packet socket with a filter belongs to a program that lies in memory or where anybody may write.",
  reads:
    "packet and internet sockets of all namespaces, their classic filters and who has them open",
  attack: ["T1205.002", "T1040"],
  limits:
    "Filters in eBPF are not judged. A door that asks for DHCP's ports, or looks at addresses and ports only, passes for what it imitates.",
  run(context) {
    const { rows, problems } = context.facts.get(sockets);
    for (const problem of problems) context.unseen(problem);
    let looked = 0;
    for (const socket of rows) {
      if (!FROM_OUTSIDE.has(socket.family) || socket.filter === undefined) continue;
      looked++;
      checkFilter(context, socket);
    }
    context.cover(looked);
  },
};

function checkFilter(context: CheckContext, socket: FoundSocket): void {
  const { filter, packet, type, family, protocol, holders, local, uid } = socket;
  const classic = filter?.classic ?? [];
  const internet = packet === undefined ? { internet: { family, protocol } } : {};
  const place = { type, protocol: packet?.protocol ?? 0, ...internet };
  const constants = magicConstants(classic, place);
  const owners = holdersOf(context, holders);
  const odd = owners.some(({ exe }) => exe !== undefined && isOdd(exe));
  if (constants.length === 0 && (!odd || packet === undefined)) return;
  const names = owners.map(({ pid, comm }) => `${pid} (${comm})`).join(", ") || "nobody";
  const why = constants.length > 0 ? "waits for packets with a mark inside" : "filters packets";
  context.report({
    severity: odd ? "high" : "medium",
    confidence: constants.length > 0 && odd ? "high" : "medium",
    title: `A ${packet === undefined ? protocol : "packet"} socket of ${names} ${why}.`,
    subject: {
      pids: owners.map(({ pid }) => pid),
      local,
      constants: constants.map((value) => `0x${value.toString(16)}`),
    },
    evidence: {
      uid: uid ?? null,
      programs: owners.map(({ exe }) => exe ?? null),
      filter: classic,
      sock: context.kernel.format(socket.sock),
    },
  });
}

function holdersOf({ facts }: CheckContext, holders: FoundSocket["holders"]): Holder[] {
  const pids = new Set(holders.map(({ pid }) => pid));
  const { rows } = facts.get(processes);
  return rows.filter(({ pid }) => pids.has(pid)).toSorted((a, b) => a.pid - b.pid);
}

function isOdd(exe: string): boolean {
  return exe.startsWith("/memfd:") || isVolatilePath(withoutDeleted(exe));
}
