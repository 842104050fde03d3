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
static u8 *call;
static u8 bytes[5];

static long taken(const void *regs)
{
	return -ENOSYS;
}

static int plant(void)
{
	u8 patched[5];
	u8 *code = find(dispatcher);
	void *to = handler ? find(handler) : NULL;
	int at;

	if (!handler) {
		slot = find(table);
		if (!slot)
			return -ENOENT;
		slot += number;
		original = *slot;
		poke_pointer(slot, taken);
		return 0;
	}
	for (at = 0; code && at < 0x4000; at++) {
		s32 distance;

		memcpy(&distance, code + at + 1, 4);
		if ((code[at] != 0xe8 && code[at] != 0xe9) || code + at + 5 + distance != (u8 *)to)
			continue;
		call = code + at;
		memcpy(bytes, call, 5);
		branch(patched, bytes[0], call, taken);
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
