// SPDX-License-Identifier: GPL-2.0
/* Registers itself through the kernel's own interfaces, one at a time, and lets everything pass. */
#include "simulator.h"
#include <linux/keyboard.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/notifier.h>
#include <linux/tracepoint.h>
#include <net/net_namespace.h>

static char *kind = "netfilter";
module_param(kind, charp, 0);

static unsigned int filter(void *data, struct sk_buff *packet, const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static int packet(struct sk_buff *packet, struct net_device *device, struct packet_type *type,
		  struct net_device *original)
{
	kfree_skb(packet);
	return 0;
}

static int noticed(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static void traced(void *data, void *regs, long number)
{
}

static struct nf_hook_ops hook = {
	.hook = filter,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_PRE_ROUTING,
	.priority = NF_IP_PRI_FIRST,
};
static struct packet_type type = { .type = cpu_to_be16(ETH_P_ALL), .func = packet };
static struct notifier_block block = { .notifier_call = noticed };
static struct tracepoint *point;

static bool is(const char *wanted)
{
	return strcmp(kind, wanted) == 0;
}

static int keyboard(const char *name)
{
	int (*call)(struct notifier_block *block) = find(name);

	return call ? call(&block) : -ENOENT;
}

static int plant(void)
{
	if (is("netfilter"))
		return nf_register_net_hook(&init_net, &hook);
	if (is("module-notifier"))
		return register_module_notifier(&block);
	if (is("keyboard"))
		return keyboard("register_keyboard_notifier");
	if (is("tracepoint")) {
		point = find("__tracepoint_sys_enter");
		return point ? tracepoint_probe_register(point, traced, NULL) : -ENOENT;
	}
	/* Since 6.12 who listens to everything has to name a device or a namespace. */
	type.af_packet_net = &init_net;
	dev_add_pack(&type);
	return 0;
}

static void undo(void)
{
	if (is("netfilter"))
		nf_unregister_net_hook(&init_net, &hook);
	else if (is("module-notifier"))
		unregister_module_notifier(&block);
	else if (is("keyboard"))
		keyboard("unregister_keyboard_notifier");
	else if (is("tracepoint"))
		tracepoint_probe_unregister(point, traced, NULL);
	else
		dev_remove_pack(&type);
	tracepoint_synchronize_unregister();
}
