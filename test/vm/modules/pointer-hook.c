// SPDX-License-Identifier: GPL-2.0
/* Puts a function of its own into a variable of the kernel or of another module. */
#include "simulator.h"
#include <linux/sysctl.h>
#include <net/rtnetlink.h>

static char *kind = "sysctl";
module_param(kind, charp, 0);

static void **slot;
static void *original;

static int handled(void)
{
	return 0;
}

static int plant(void)
{
	u8 *at;

	if (strcmp(kind, "sysctl") == 0) {
		at = find("uts_kern_table");
		slot = at ? (void **)(at + offsetof(struct ctl_table, proc_handler)) : NULL;
	} else {
		at = find("dummy_link_ops");
		slot = at ? (void **)(at + offsetof(struct rtnl_link_ops, get_num_tx_queues)) : NULL;
	}
	if (!slot)
		return -ENOENT;
	original = *slot;
	poke_pointer(slot, handled);
	return 0;
}

static void undo(void)
{
	poke_pointer(slot, original);
}
