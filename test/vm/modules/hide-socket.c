// SPDX-License-Identifier: GPL-2.0
/*
 * Puts itself between /proc/net/tcp and its lines; or between /proc/modules and its opening. Or takes
 * a UDP socket off the table that lists show, while packets still find it; or off both.
 */
#include "simulator.h"
#include <linux/fdtable.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <net/sock.h>

static int how;
module_param(how, int, 0);
static int pid;
module_param(pid, int, 0);
static int fd;
module_param(fd, int, 0);

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

static struct hlist_node *nodes[2];

static void unlink(struct hlist_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
}

static void relink(struct hlist_node *node)
{
	*node->pprev = node;
	if (node->next)
		node->next->pprev = &node->next;
}

static int unhash(void)
{
	struct task_struct *task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	struct socket *socket;

	if (!task)
		return -ESRCH;
	rcu_read_lock();
	socket = rcu_dereference_raw(rcu_dereference_raw(task->files->fdt)->fd[fd])->private_data;
	rcu_read_unlock();
	put_task_struct(task);
	nodes[0] = &socket->sk->sk_node;
	nodes[1] = how == 3 ? (struct hlist_node *)&socket->sk->__sk_common.skc_portaddr_node : NULL;
	unlink(nodes[0]);
	if (nodes[1])
		unlink(nodes[1]);
	return 0;
}

static int plant(void)
{
	if (how >= 2)
		return unhash();
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
	if (how >= 2) {
		relink(nodes[0]);
		if (nodes[1])
			relink(nodes[1]);
		return;
	}
	if (how == 0)
		poke_pointer(&lines->show, show);
	else
		poke_pointer(&entry_operations->proc_open, open);
}
