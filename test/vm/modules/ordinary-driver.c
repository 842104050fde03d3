// SPDX-License-Identifier: GPL-2.0
/*
 * Harmless: a driver from elsewhere (DKMS), which registers whatever drivers register, each with
 * functions of its own, and takes over nothing that is another's.
 */
#include <linux/anon_inodes.h>
#include <linux/cdev.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/input.h>
#include <linux/kdebug.h>
#include <linux/key-type.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/proc_fs.h>
#include <linux/reboot.h>
#include <linux/seq_file.h>
#include <linux/timer.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/protocol.h>

#define OWN_NETLINK 30
#define OWN_PROTOCOL 253
#define OWN_MAGIC 0x6f726469

static struct page *page;

static int ordinary_show(struct seq_file *file, void *data)
{
	seq_puts(file, "ordinary\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ordinary);

/* A device that can be mapped, and that hands out files without a name. */
static vm_fault_t touched(struct vm_fault *fault)
{
	get_page(page);
	fault->page = page;
	return 0;
}

static const struct vm_operations_struct mapping = { .fault = touched };

static int map(struct file *file, struct vm_area_struct *area)
{
	area->vm_ops = &mapping;
	return 0;
}

static ssize_t nothing(struct file *file, char __user *to, size_t size, loff_t *at)
{
	return 0;
}

static const struct file_operations nameless = { .owner = THIS_MODULE, .read = nothing };

/* Reading gives a descriptor. */
static ssize_t descriptor(struct file *file, char __user *to, size_t size, loff_t *at)
{
	int fd = anon_inode_getfd("[ordinary]", &nameless, NULL, O_RDONLY);

	return fd < 0 ? fd : 0;
}

static const struct file_operations device = {
	.owner = THIS_MODULE,
	.read = descriptor,
	.mmap = map,
};
static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ordinary",
	.fops = &device,
};
static const struct file_operations character = { .owner = THIS_MODULE, .read = nothing };
static struct cdev numbered;
static dev_t number;

/* What waits to be called. */
static void timed(struct timer_list *timer)
{
	mod_timer(timer, jiffies + HZ);
}
static DEFINE_TIMER(timer, timed);

static void worked(struct work_struct *work)
{
	schedule_delayed_work(to_delayed_work(work), HZ);
}
static DECLARE_DELAYED_WORK(work, worked);

static int run(void *data)
{
	while (!kthread_should_stop())
		msleep_interruptible(1000);
	return 0;
}
static struct task_struct *thread;

static int noticed(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}
static struct notifier_block at_reboot = { .notifier_call = noticed };
static struct notifier_block at_panic = { .notifier_call = noticed };
static struct notifier_block at_fault = { .notifier_call = noticed };
static struct notifier_block of_modules = { .notifier_call = noticed };
static struct notifier_block of_devices = { .notifier_call = noticed };

/* A network device without hardware, a protocol and a netlink number of its own. */
static netdev_tx_t sent(struct sk_buff *packet, struct net_device *of)
{
	dev_kfree_skb(packet);
	return NETDEV_TX_OK;
}

static const struct net_device_ops network_operations = { .ndo_start_xmit = sent };
static const struct ethtool_ops tool_operations = { .get_link = ethtool_op_get_link };
static struct net_device *network;

static void prepared(struct net_device *of)
{
	ether_setup(of);
	eth_hw_addr_random(of);
	of->netdev_ops = &network_operations;
	of->ethtool_ops = &tool_operations;
}

static int received(struct sk_buff *packet)
{
	kfree_skb(packet);
	return 0;
}
static const struct net_protocol protocol = { .handler = received };

static void asked(struct sk_buff *packet)
{
}
static struct sock *netlink;

/* A file system with files of its own. */
static const struct file_operations content = { .owner = THIS_MODULE, .read = nothing };

static int fill(struct super_block *block, void *data, int silent)
{
	static const struct tree_descr files[] = { [2] = { "file", &content, 0444 }, { "" } };

	return simple_fill_super(block, OWN_MAGIC, files);
}

static struct dentry *mounted(struct file_system_type *type, int flags, const char *name, void *data)
{
	return mount_single(type, flags, data, fill);
}
static struct file_system_type file_system = {
	.owner = THIS_MODULE,
	.name = "ordinary",
	.mount = mounted,
	.kill_sb = kill_litter_super,
};

/* A terminal. */
static int terminal_open(struct tty_struct *tty, struct file *file)
{
	return tty_port_open(tty->port, tty, file);
}

static void terminal_close(struct tty_struct *tty, struct file *file)
{
	tty_port_close(tty->port, tty, file);
}

static unsigned int terminal_room(struct tty_struct *tty)
{
	return 0;
}
static const struct tty_operations terminal_operations = {
	.open = terminal_open,
	.close = terminal_close,
	.write_room = terminal_room,
};
static const struct tty_port_operations port_operations = {};
static struct tty_port port;
static struct tty_driver *terminal;

static int add_terminal(void)
{
	terminal = tty_alloc_driver(1, TTY_DRIVER_REAL_RAW);
	if (IS_ERR(terminal))
		return PTR_ERR(terminal);
	terminal->driver_name = "ordinary";
	terminal->name = "ttyORD";
	terminal->type = TTY_DRIVER_TYPE_SERIAL;
	terminal->init_termios = tty_std_termios;
	tty_set_operations(terminal, &terminal_operations);
	tty_port_init(&port);
	port.ops = &port_operations;
	tty_port_link_device(&port, terminal, 0);
	return tty_register_driver(terminal);
}

static int key_made(struct key_preparsed_payload *payload)
{
	return 0;
}
static struct key_type key_type = { .name = "ordinary", .preparse = key_made };
static struct input_dev *input;
static struct dentry *debug;

static int add_devices(void)
{
	int error = misc_register(&misc);

	if (error)
		return error;
	error = alloc_chrdev_region(&number, 0, 1, "ordinary");
	if (error)
		return error;
	cdev_init(&numbered, &character);
	numbered.owner = THIS_MODULE;
	error = cdev_add(&numbered, number, 1);
	if (error)
		return error;
	input = input_allocate_device();
	if (!input)
		return -ENOMEM;
	input->name = "ordinary";
	input_set_capability(input, EV_KEY, KEY_POWER);
	return input_register_device(input);
}

static int add_network(void)
{
	struct netlink_kernel_cfg config = { .input = asked };

	netlink = netlink_kernel_create(&init_net, OWN_NETLINK, &config);
	network = alloc_netdev(0, "ordinary%d", NET_NAME_ENUM, prepared);
	if (!netlink || !network)
		return -ENOMEM;
	return register_netdev(network) ?: inet_add_protocol(&protocol, OWN_PROTOCOL);
}

static int __init ordinary_init(void)
{
	int error;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	error = add_devices() ?: add_network() ?: add_terminal() ?: register_filesystem(&file_system);
	if (error)
		return error;
	proc_create_single("ordinary", 0444, NULL, ordinary_show);
	debug = debugfs_create_file("ordinary", 0444, NULL, NULL, &ordinary_fops);
	register_reboot_notifier(&at_reboot);
	atomic_notifier_chain_register(&panic_notifier_list, &at_panic);
	register_die_notifier(&at_fault);
	register_module_notifier(&of_modules);
	register_netdevice_notifier(&of_devices);
	register_key_type(&key_type);
	mod_timer(&timer, jiffies + HZ);
	schedule_delayed_work(&work, HZ);
	thread = kthread_run(run, NULL, "ordinary");
	return 0;
}

static void __exit ordinary_exit(void)
{
	kthread_stop(thread);
	cancel_delayed_work_sync(&work);
	timer_delete_sync(&timer);
	unregister_key_type(&key_type);
	unregister_netdevice_notifier(&of_devices);
	unregister_module_notifier(&of_modules);
	unregister_die_notifier(&at_fault);
	atomic_notifier_chain_unregister(&panic_notifier_list, &at_panic);
	unregister_reboot_notifier(&at_reboot);
	debugfs_remove(debug);
	remove_proc_entry("ordinary", NULL);
	unregister_filesystem(&file_system);
	tty_unregister_driver(terminal);
	tty_driver_kref_put(terminal);
	tty_port_destroy(&port);
	inet_del_protocol(&protocol, OWN_PROTOCOL);
	unregister_netdev(network);
	free_netdev(network);
	netlink_kernel_release(netlink);
	input_unregister_device(input);
	cdev_del(&numbered);
	unregister_chrdev_region(number, 1);
	misc_deregister(&misc);
	__free_page(page);
}

module_init(ordinary_init);
module_exit(ordinary_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kvmsec test: a harmless driver from elsewhere");
