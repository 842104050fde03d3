// SPDX-License-Identifier: GPL-2.0
/*
 * Takes part in decisions of the security modules: in place of one of theirs, or beside them. Up to
 * 6.11 they are lists, since then static calls, of which each hook has a few places.
 */
#include "simulator.h"
#include <linux/lsm_hooks.h>
#include <linux/sched.h>

static bool beside;
module_param(beside, bool, 0);

static struct security_hook_list *entry;

static int allowed(struct task_struct *parent)
{
	return 0;
}

static struct security_hook_list own = { .hook.ptrace_traceme = allowed };

#ifdef MAX_LSM_COUNT
static struct lsm_static_call *place;
static struct security_hook_list *before;

static void lead(struct security_hook_list *to)
{
	void *call = to ? to->hook.lsm_func_addr : NULL;

	poke_pointer(&place->hl, to);
	__static_call_update(place->key, place->trampoline, call);
}

static int plant(void)
{
	struct lsm_static_calls_table *table = find("static_calls_table");

	if (!table)
		return -ENOENT;
	place = table->ptrace_traceme;
	while (beside && place->hl)
		place++;
	before = place->hl;
	lead(&own);
	if (beside)
		static_key_enable(&place->active->key);
	return 0;
}

static void undo(void)
{
	if (beside)
		static_key_disable(&place->active->key);
	lead(before);
}
#else
static void *original;

static int plant(void)
{
	struct security_hook_heads *heads = find("security_hook_heads");
	struct hlist_node *last;

	if (!heads)
		return -ENOENT;
	last = heads->ptrace_traceme.first;
	entry = hlist_entry(last, struct security_hook_list, list);
	original = entry->hook.ptrace_traceme;
	if (!beside) {
		poke_pointer(&entry->hook.ptrace_traceme, allowed);
		return 0;
	}
	own.list.next = last;
	own.list.pprev = &heads->ptrace_traceme.first;
	poke_pointer(&heads->ptrace_traceme.first, &own.list);
	return 0;
}

static void undo(void)
{
	struct security_hook_heads *heads = find("security_hook_heads");

	if (beside)
		poke_pointer(&heads->ptrace_traceme.first, own.list.next);
	else
		poke_pointer(&entry->hook.ptrace_traceme, original);
}
#endif
