// SPDX-License-Identifier: GPL-2.0
/* Takes over a system call that nobody makes: its slot in a table, or its call in a dispatcher. */
#include "simulator.h"
#include <linux/errno.h>

static char *table = "sys_call_table";
module_param(table, charp, 0);
static int number = 134; /* uselib */
module_param(number, int, 0);
static char *handler; /* With it, the call of this function in the dispatcher is patched instead. */
module_param(handler, charp, 0);
static char *dispatcher = "x64_sys_call";
module_param(dispatcher, charp, 0);

static void **slot;
static void *original;
static struct branch_site call;

static long taken(const void *regs)
{
	return -ENOSYS;
}

static int plant(void)
{
	if (handler)
		return redirect(&call, find(dispatcher), find(handler), taken);
	slot = find(table);
	if (!slot)
		return -ENOENT;
	slot += number;
	original = *slot;
	poke_pointer(slot, taken);
	return 0;
}

static void undo(void)
{
	if (slot)
		poke_pointer(slot, original);
	else
		restore_branch(&call);
}
