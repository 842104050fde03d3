// SPDX-License-Identifier: GPL-2.0
/*
 * Takes over one object instead of what all share: an open file, its inode, its name, the lines that
 * it shows, or a socket. Each gets a table of its own, in this module or in memory of nobody, with
 * one function that hands everything on.
 */
#include "simulator.h"
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/sock.h>

static int pid;
module_param(pid, int, 0);
static int fd;
module_param(fd, int, 0);
static char *kind = "file";
module_param(kind, charp, 0);
static bool heap;
module_param(heap, bool, 0);

static union {
	struct file_operations file;
	struct inode_operations inode;
	struct dentry_operations dentry;
	struct seq_operations lines;
	struct proto protocol;
	struct proto_ops socket;
} own;
static struct file *file;
static const void **slot;
static const void *original;
static void *copy;
static bool of_function;

static bool is(const char *wanted)
{
	return strcmp(kind, wanted) == 0;
}

static loff_t moved(struct file *at, loff_t offset, int whence)
{
	return ((const struct file_operations *)original)->llseek(at, offset, whence);
}

static int deleted(const struct dentry *dentry)
{
	return 0;
}

static int shown(struct seq_file *lines, void *entry)
{
	return ((const struct seq_operations *)original)->show(lines, entry);
}

static void closed(struct sock *sock, long timeout)
{
	((const struct proto *)original)->close(sock, timeout);
}

static int released(struct socket *socket)
{
	return ((const struct proto_ops *)original)->release(socket);
}

static void arrived(struct sock *sock)
{
	((void (*)(struct sock *))original)(sock);
}

static void take(const void *at, size_t size)
{
	slot = (const void **)at;
	original = *slot;
	if (original)
		memcpy(&own, original, size);
}

static struct sock *sock_of(void)
{
	return ((struct socket *)file->private_data)->sk;
}

static int choose(void)
{
	if (is("file") || is("inode")) {
		take(is("file") ? (void *)&file->f_op : (void *)&file_inode(file)->i_fop, sizeof(own.file));
		own.file.llseek = moved;
	} else if (is("name")) {
		take(&file->f_path.dentry->d_op, sizeof(own.dentry));
		own.dentry.d_delete = deleted;
	} else if (is("lines")) {
		take(&((struct seq_file *)file->private_data)->op, sizeof(own.lines));
		own.lines.show = shown;
	} else if (is("protocol")) {
		take(&sock_of()->sk_prot, sizeof(own.protocol));
		own.protocol.close = closed;
	} else if (is("socket")) {
		take(&((struct socket *)file->private_data)->ops, sizeof(own.socket));
		own.socket.release = released;
	} else if (is("arrival")) {
		take(&sock_of()->sk_data_ready, 0);
		of_function = true;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int plant(void)
{
	struct task_struct *task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	int error;

	if (!task)
		return -ESRCH;
	rcu_read_lock();
	file = rcu_dereference_raw(rcu_dereference_raw(task->files->fdt)->fd[fd]);
	rcu_read_unlock();
	put_task_struct(task);
	if (!file)
		return -EBADF;
	error = choose();
	if (error)
		return error;
	copy = heap ? kmemdup(&own, sizeof(own), GFP_KERNEL) : NULL;
	*slot = of_function ? (void *)arrived : copy ? copy : (void *)&own;
	return 0;
}

static void undo(void)
{
	*slot = original;
	kfree(copy);
}
