import type { GuestVirtual } from "../base/address.ts";
import {
  isClosingDescriptor,
  isClosingFiles,
  isOpeningFile,
} from "../linux/descriptors-in-transit.ts";
import { isSockClosing, isSockLocked } from "../linux/sock-lock.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import type { Check, CheckContext } from "./check.ts";
import { sockets } from "./user-facts.ts";

/** `pprev` follows `next` in struct hlist_node and hlist_nulls_node (include/linux/types.h, list_nulls.h). */
const PPREV = 8;
/** Tables that a socket is on as long as its state lasts (net/ipv4/udp.c, inet_hashtables.c). */
const TABLES: Readonly<Record<string, (state: string) => readonly string[]>> = {
  udp: () => ["udp.hash", "udp.hash2"],
  udplite: () => ["udplite.hash", "udplite.hash2"],
  tcp: (state) => (state === "LISTEN" ? ["lhash2"] : state === "ESTAB" ? ["ehash"] : []),
};

/** Sockets are found both by who has them open and in the kernel's tables. */
export const hiddenSocket: Check = {
  id: "hidden-socket",
  proves:
    "Every socket that should be in the kernel's tables and in some process's open files is in both, and those of TCP and UDP are on each table that they belong on.",
  reads: "files of all processes; TCP, UDP, raw, unix, packet and netlink tables of all namespaces",
  attack: ["T1014"],
  limits: "Sockets that only the kernel itself holds have no open file, and are not counted.",
  isUnsettled: isClosingFiles,
  halfDone(kernel) {
    const closes = isClosingDescriptor(kernel) ? "a file is just being closed" : undefined;
    const opens = isOpeningFile(kernel) ? "a file is just being opened" : undefined;
    return ({ subject, evidence }) => {
      const digits = /^0x[0-9a-f]+$/.exec(String(subject["sock"]))?.[0];
      if (digits === undefined) return undefined;
      const sock = kernel.space.folding.foldBig(BigInt(digits));
      if (isSockLocked(kernel, sock)) return "somebody holds the socket's lock";
      if (isSockClosing(kernel, sock)) return "the socket is just being closed";
      return String(evidence["missing"]) === "fd" ? (closes ?? opens) : undefined;
    };
  },
  run(context) {
    const { rows, problems } = context.facts.get(sockets);
    for (const problem of problems) context.unseen(problem);
    for (const socket of rows) {
      // What could not be read to its end may have had it.
      if (problems.length === 0) checkTables(context, socket);
      if (socket.missing.length === 0) continue;
      const { protocol, family, state, seenBy, missing, sock, holders } = socket;
      context.report({
        severity: "high",
        confidence: "medium",
        title: `A ${protocol} socket (${state}) is hidden from the ${missing.join(" and ")} view.`,
        subject: { sock: context.kernel.format(sock) },
        evidence: { family, protocol, state, seenBy, missing, pids: holders.map(({ pid }) => pid) },
      });
    }
    context.cover(rows.length);
  },
};

/** One table is what lists show, another what packets are delivered by: both have to have it. */
function checkTables(context: CheckContext, socket: FoundSocket): void {
  const { kind, protocol, family, state, local, tables, sock, holders } = socket;
  if (kind !== "full" || tables.length === 0 || local.endsWith(":*")) return;
  // One that leaves both tables has no port from the first to the last: it gets no packet.
  if (context.kernel.reader("sock_common", "skc_num")(sock) === 0) return;
  const wanted = TABLES[protocol]?.(state) ?? [];
  const missing = wanted.filter((table) => !tables.includes(table) && !isOn(context, sock, table));
  if (missing.length === 0) return;
  context.report({
    severity: "high",
    confidence: "medium",
    title: `A ${protocol} socket (${state} ${local}) is hidden: it is not on the table ${missing.join(" and ")}.`,
    subject: { sock: context.kernel.format(sock), tables: missing },
    evidence: { family, protocol, state, tables, missing, pids: holders.map(({ pid }) => pid) },
  });
}

/** Whether whatever lies before it leads to it: it came while the tables were read. */
function isOn({ kernel }: CheckContext, sock: GuestVirtual, table: string): boolean {
  const member = table.endsWith(".hash2") ? "skc_portaddr_node" : "skc_node";
  const node = sock + kernel.offset("sock_common", member);
  const before = kernel.space.pointer(node + PPREV);
  return before < 0 && kernel.space.pointer(before) === node;
}
