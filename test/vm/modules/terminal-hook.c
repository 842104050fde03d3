// SPDX-License-Identifier: GPL-2.0
/* Gives an open terminal a copy of its operations, with one of its own among them. */
#include "simulator.h"
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>

static char *path = "/dev/ttyS0";
module_param(path, charp, 0);

static struct file *file;
static struct tty_struct *tty;
static const struct tty_operations *original;
static struct tty_operations *copy;

static unsigned int room(struct tty_struct *of)
{
	return original->write_room(of);
}

static int plant(void)
{
	/* struct tty_file_private is the core's own; its first member is the terminal. */
	file = filp_open(path, O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	tty = *(struct tty_struct **)file->private_data;
	original = tty->ops;
	copy = kmemdup(original, sizeof(*original), GFP_KERNEL);
	copy->write_room = room;
	tty->ops = copy;
	return 0;
}

static void undo(void)
{
	tty->ops = original;
	filp_close(file, NULL);
	kfree(copy);
}
