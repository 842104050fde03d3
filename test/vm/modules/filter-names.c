// SPDX-License-Identifier: GPL-2.0
/*
 * Sits where names of files and processes are listed: in /proc's own operations, or at filldir64 by
 * ftrace, by a kprobe, by a kretprobe, or by a jump behind ftrace's site. It filters nothing.
 */
#include "simulator.h"
#include <linux/fs.h>
#include <linux/ftrace.h>

static int how;
module_param(how, int, 0);

static struct file_operations *operations;
static int (*original)(struct file *file, struct dir_context *context);

static int listing(struct file *file, struct dir_context *context)
{
	return original(file, context);
}

static void notrace traced(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			   struct ftrace_regs *regs)
{
}

static struct ftrace_ops tracer = {
	.func = traced,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY,
};

static int before(struct kprobe *probe, struct pt_regs *regs)
{
	return 0;
}

static int returned(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe probe = { .symbol_name = "filldir64", .pre_handler = before };
static struct kretprobe on_return = { .kp.symbol_name = "filldir64", .handler = returned };

static int plant(void)
{
	int error;

	switch (how) {
	case 0:
		operations = find("proc_root_operations");
		if (!operations)
			return -ENOENT;
		original = operations->iterate_shared;
		poke_pointer(&operations->iterate_shared, listing);
		return 0;
	case 1:
		error = ftrace_set_filter_ip(&tracer, (unsigned long)find("filldir64"), 0, 0);
		return error ? error : register_ftrace_function(&tracer);
	case 2:
		return register_kprobe(&probe);
	default:
		return register_kretprobe(&on_return);
	}
}

static void undo(void)
{
	if (how == 0)
		poke_pointer(&operations->iterate_shared, original);
	else if (how == 1)
		unregister_ftrace_function(&tracer);
	else if (how == 2)
		unregister_kprobe(&probe);
	else
		unregister_kretprobe(&on_return);
}
