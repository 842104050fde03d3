import { CodeOwners } from "../linux/code-owner.ts";
import type { CodeOwner } from "../linux/code-owner.ts";
import { NetNamespaces } from "../linux/net-namespace.ts";
import { NetfilterHooks } from "../linux/netfilter.ts";
import type { NetfilterHook } from "../linux/netfilter.ts";
import type { View } from "./view.ts";

/** A hook with whose code it is. */
export type NetfilterRow = NetfilterHook & {
  readonly netns: number | undefined;
  /** As the kernel prints it: `nft_do_chain_inet [nf_tables]`. */
  readonly symbol: string;
  readonly owner: CodeOwner | undefined;
};

/** The functions that see the guest's packets through netfilter. */
export const netfilter: View<NetfilterRow> = {
  schema: "kvmsec.netfilter/1",
  list: "hooks",
  of: "netfilter",
  *read(kernel, _options, problem) {
    const budget = kernel.budget();
    const namespaces = new NetNamespaces(kernel);
    const hooks = new NetfilterHooks(kernel);
    const owners = new CodeOwners(kernel);
    for (const reason of owners.problems) problem(reason);
    for (const net of namespaces.all(budget, problem)) {
      for (const hook of hooks.all(net, budget, problem)) {
        yield {
          ...hook,
          netns: namespaces.inum(net),
          symbol: owners.describe(hook.function),
          owner: owners.ownerOf(hook.function),
        };
      }
    }
  },
  json: (row, kernel) => ({
    family: row.family,
    hook: row.hook,
    priority: row.priority ?? null,
    device: row.device ?? null,
    netns: row.netns ?? null,
    symbol: row.symbol,
    owner: row.owner?.name ?? null,
    function: kernel.format(row.function),
    private: row.private === 0 ? null : kernel.format(row.private),
  }),
};
