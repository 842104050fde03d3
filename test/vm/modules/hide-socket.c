// SPDX-License-Identifier: GPL-2.0
/* Puts itself between /proc/net/tcp and its lines; or between /proc/modules and its opening. */
#include "simulator.h"
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

static int how;
module_param(how, int, 0);

static struct seq_operations *lines;
static int (*show)(struct seq_file *file, void *entry);
static struct proc_ops *entry_operations;
static int (*open)(struct inode *inode, struct file *file);

static int shown(struct seq_file *file, void *entry)
{
	return show(file, entry);
}

static int opened(struct inode *inode, struct file *file)
{
	return open(inode, file);
}

static int plant(void)
{
	if (how == 0) {
		lines = find("tcp4_seq_ops");
		show = lines->show;
		poke_pointer(&lines->show, shown);
	} else {
		entry_operations = find("modules_proc_ops");
		open = entry_operations->proc_open;
		poke_pointer(&entry_operations->proc_open, opened);
	}
	return 0;
}

static void undo(void)
{
	if (how == 0)
		poke_pointer(&lines->show, show);
	else
		poke_pointer(&entry_operations->proc_open, open);
}
