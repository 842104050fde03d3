/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the simulators share. Each plants one technique of those who tamper with kernels, does
 * nothing with it, and takes it back when something is written to /sys/kernel/debug/simulator or
 * when it is unloaded. They are for throwaway guests of the tests.
 */
#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>

static int plant(void);
static void undo(void);

static bool planted;
static struct dentry *trigger;

/* kallsyms_lookup_name is not exported (since 5.7); a kprobe tells its address. */
static void *find(const char *name)
{
	static unsigned long (*lookup)(const char *name);
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };

	if (!lookup && register_kprobe(&probe) == 0) {
		lookup = (void *)probe.addr;
		unregister_kprobe(&probe);
	}
	return lookup ? (void *)lookup(name) : NULL;
}

/* Writes what is mapped read-only, as the kernel patches itself. */
static void __maybe_unused poke(void *at, const void *bytes, size_t size)
{
	void *(*text_poke)(void *at, const void *bytes, size_t size) = find("text_poke");
	struct mutex *lock = find("text_mutex");

	mutex_lock(lock);
	text_poke(at, bytes, size);
	mutex_unlock(lock);
}

static void __maybe_unused poke_pointer(void *slot, const void *value)
{
	poke(slot, &value, sizeof(value));
}

/* Five bytes, a call or jump, as they stand at `from`. */
static void __maybe_unused branch(u8 *bytes, u8 opcode, const void *from, const void *to)
{
	s32 distance = (s32)((long)to - (long)from - 5);

	bytes[0] = opcode;
	memcpy(bytes + 1, &distance, 4);
}

/* Whether a call or jump stands there that leads to `to`. */
static bool __maybe_unused branches(const u8 *at, const u8 *to)
{
	s32 distance;

	memcpy(&distance, at + 1, 4);
	return (*at == 0xe8 || *at == 0xe9) && at + 5 + distance == to;
}

/* A call or jump in somebody's text, and what it was before it was led elsewhere. */
struct branch_site {
	u8 *at;
	u8 bytes[5];
};

/* Leads the branch of `code` that goes to `from` on to `to`. */
static int __maybe_unused redirect(struct branch_site *site, u8 *code, const void *from,
				   const void *to)
{
	u8 patched[5];
	u8 *at;

	for (at = code; code && from && at < code + 0x4000; at++) {
		if (!branches(at, from))
			continue;
		site->at = at;
		memcpy(site->bytes, at, 5);
		branch(patched, at[0], at, to);
		poke(at, patched, 5);
		return 0;
	}
	return -ENOENT;
}

static void __maybe_unused restore_branch(const struct branch_site *site)
{
	poke(site->at, site->bytes, 5);
}

static ssize_t trigger_write(struct file *file, const char __user *data, size_t size, loff_t *at)
{
	if (planted)
		undo();
	planted = false;
	return size;
}

static const struct file_operations trigger_operations = {
	.owner = THIS_MODULE,
	.write = trigger_write,
};

static int __init simulator_init(void)
{
	int error = plant();

	if (error)
		return error;
	planted = true;
	trigger = debugfs_create_file("simulator", 0200, NULL, NULL, &trigger_operations);
	return 0;
}

static void __exit simulator_exit(void)
{
	debugfs_remove(trigger);
	if (planted)
		undo();
}

module_init(simulator_init);
module_exit(simulator_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kvmsec test: an inert simulator");
