// SPDX-License-Identifier: GPL-2.0
/* Makes a process root: over its credentials' numbers, or with the kernel's own credentials. */
#include "simulator.h"
#include <linux/cred.h>
#include <linux/sched/signal.h>

static int pid;
module_param(pid, int, 0);
static int how;
module_param(how, int, 0);

static struct task_struct *task;
static const struct cred *own;
static kuid_t user;

static void set_user(kuid_t id)
{
	struct cred *cred = (struct cred *)own;

	cred->uid = cred->euid = cred->suid = cred->fsuid = id;
}

static void set_cred(const struct cred *cred)
{
	rcu_assign_pointer(task->real_cred, cred);
	rcu_assign_pointer(task->cred, cred);
}

static int plant(void)
{
	task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	if (!task)
		return -ESRCH;
	own = rcu_dereference_raw(task->real_cred);
	user = own->uid;
	if (how == 0)
		set_user(GLOBAL_ROOT_UID);
	else
		set_cred(rcu_dereference_raw(init_task.cred));
	return 0;
}

static void undo(void)
{
	if (how == 0)
		set_user(user);
	else
		set_cred(own);
	put_task_struct(task);
}
