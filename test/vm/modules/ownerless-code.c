// SPDX-License-Identifier: GPL-2.0
/* Copies code to where no module is: a timer that would run it in some hours, or a kernel thread. */
#include "simulator.h"
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *kind = "timer";
module_param(kind, charp, 0);

/* endbr64; xor eax, eax; ret */
static const u8 code[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3 };
static u8 *memory;
static struct timer_list timer;
static struct task_struct *thread;

static void set_memory(const char *how)
{
	int (*set)(unsigned long address, int pages) = find(how);

	set((unsigned long)memory, 1);
}

static int idle(void *data)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

static int plant(void)
{
	if (strcmp(kind, "thread") == 0) {
		thread = kthread_run(idle, NULL, "kworker/0:7");
		return IS_ERR(thread) ? PTR_ERR(thread) : 0;
	}
	memory = vmalloc(PAGE_SIZE);
	if (!memory)
		return -ENOMEM;
	memcpy(memory, code, sizeof(code));
	set_memory("set_memory_ro");
	set_memory("set_memory_x");
	timer_setup(&timer, (void *)memory, 0);
	mod_timer(&timer, jiffies + 10000 * HZ);
	return 0;
}

static void undo(void)
{
	int (*cancel)(struct timer_list *timer) = find("timer_delete_sync") ?: find("del_timer_sync");

	if (thread) {
		kthread_stop(thread);
		return;
	}
	cancel(&timer);
	set_memory("set_memory_nx");
	set_memory("set_memory_rw");
	vfree(memory);
}
