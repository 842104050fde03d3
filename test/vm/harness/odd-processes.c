/* Processes whose names, arguments, credentials or states are unusual. */
#include "scenario.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void become_user(uid_t id)
{
	must(setgroups(0, NULL), "setgroups");
	must(setresgid(id, id, id), "setresgid");
	must(setresuid(id, id, id), "setresuid");
}

static void odd_arguments(void)
{
	char *argv[] = { "odd name", "a b", "line\nbreak", "", "\xc3\xa9\xe2\x82\xac", "\xff\xfe", "tab\there", NULL };

	become_user(1000);
	exec_ready("/proc/self/exe", argv);
}

static void long_arguments(void)
{
	static char big[100000];
	char *argv[] = { "long", big, "end", NULL };

	memset(big, 'x', sizeof(big) - 1);
	become_user(1001);
	exec_ready("/proc/self/exe", argv);
}

static void no_arguments(void)
{
	char *argv[] = { "", NULL };

	exec_ready("/proc/self/exe", argv);
}

/* A kernel thread by name only. */
static void look_alike(void)
{
	char *argv[] = { "[kworker/0:3]", NULL };

	exec_ready("/proc/self/exe", argv);
}

static void odd_comm(void)
{
	prctl(PR_SET_NAME, "a) R 1\n\x01(\xff%s");
	ready();
}

/* setproctitle(3)'s way: PR_SET_MM needs CAP_SYS_RESOURCE and an mm of its own. */
static void moved_arguments(void)
{
	static char *title;

	title = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(title, "moved title");
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0), "PR_SET_MM");
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_END, title + 12, 0, 0), "PR_SET_MM");
	ready();
}

static void *named_thread(void *name)
{
	prctl(PR_SET_NAME, name);
	stay();
	return NULL;
}

static void start_threads(int count)
{
	static char names[64][16];

	for (int i = 0; i < count; i++) {
		pthread_t thread;
		snprintf(names[i], sizeof(names[i]), "thread %d", i);
		must(-pthread_create(&thread, NULL, named_thread, names[i]), "pthread_create");
	}
	usleep(50000);
}

static void threads(void)
{
	start_threads(8);
	ready();
}

/* Says ready when the leader is a zombie. */
static void *outlive_leader(void *unused)
{
	char status[512] = "";

	while (strstr(status, ") Z") == NULL) {
		int fd = must(open("/proc/self/stat", O_RDONLY), "stat");
		must(read(fd, status, sizeof(status) - 1), "stat");
		close(fd);
		usleep(1000);
	}
	ready();
	return unused;
}

/* The leader is gone while its threads go on. */
static void leaderless(void)
{
	pthread_t thread;

	start_threads(2);
	must(-pthread_create(&thread, NULL, outlive_leader, NULL), "pthread_create");
	syscall(SYS_exit, 0);
}

static void zombie(void)
{
	pid_t child = must(fork(), "fork");

	if (child == 0)
		_exit(7);
	siginfo_t info;
	must(waitid(P_PID, child, &info, WEXITED | WNOWAIT), "waitid");
	ready();
}

static void stopped(void)
{
	pid_t child = must(fork(), "fork");

	if (child == 0)
		stay();
	kill(child, SIGSTOP);
	must(waitpid(child, NULL, WUNTRACED), "waitpid");
	ready();
}

/* In the state D, which vfork's parent is in until the child executes something. */
static void uninterruptible(void)
{
	if (vfork() == 0)
		ready();
}

static void credentials(void)
{
	gid_t groups[] = { 10, 20, 4000000000u };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	must(setgroups(3, groups), "setgroups");
	must(prctl(PR_SET_KEEPCAPS, 1), "PR_SET_KEEPCAPS");
	must(setresgid(1001, 1002, 1003), "setresgid");
	must(setresuid(1001, 1002, 1003), "setresuid");
	data[0].permitted = 1 << CAP_NET_RAW | 1 << CAP_NET_BIND_SERVICE;
	data[0].inheritable = data[0].effective = 1 << CAP_NET_BIND_SERVICE;
	must(syscall(SYS_capset, &header, data), "capset");
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0), "ambient");
	ready();
}

static void sandboxed(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "PR_SET_SECCOMP");
	ready();
}

static void scheduled(void)
{
	struct sched_param fifo = { .sched_priority = 7 };
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must(sched_setaffinity(0, sizeof(first), &first), "sched_setaffinity");
	must(sched_setscheduler(0, SCHED_FIFO, &fifo), "sched_setscheduler");
	ready();
}

static void nice_one(void)
{
	must(setpriority(PRIO_PROCESS, 0, 11), "setpriority");
	ready();
}

static void copy_self(int to)
{
	int self = must(open("/proc/self/exe", O_RDONLY), "/proc/self/exe");
	struct stat status;

	fstat(self, &status);
	must(sendfile(to, self, NULL, status.st_size), "sendfile");
	fchmod(to, 0755);
	close(self);
}

static void run_copy(const char *path, int then_unlink)
{
	char *argv[] = { (char *)path, NULL };
	int to = must(open(path, O_CREAT | O_WRONLY, 0755), path);

	copy_self(to);
	close(to);
	if (!then_unlink)
		exec_ready(path, argv);
	/* Executed through its descriptor, so that the name can go first. */
	int program = must(open(path, O_RDONLY | O_CLOEXEC), path);
	must(unlink(path), path);
	char self[32];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", program);
	exec_ready(self, argv);
}

static void deleted_executable(void)
{
	run_copy("/tmp/was-here", 1);
}

static void odd_executable(void)
{
	run_copy("/tmp/odd name\n(deleted)", 0);
}

static void memory_executable(void)
{
	char *argv[] = { "from memory", NULL }, self[32];
	int file = must(syscall(SYS_memfd_create, "fileless", MFD_CLOEXEC), "memfd_create");

	copy_self(file);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file);
	exec_ready(self, argv);
}

/* Its parent ends, so process 1 inherits it. */
static void orphan(void)
{
	pid_t parent = getpid();

	if (must(fork(), "fork") > 0)
		_exit(0);
	prctl(PR_SET_NAME, "orphaned");
	while (getppid() == parent)
		usleep(1000);
	ready();
}

static void deep_family(void)
{
	for (int depth = 0; depth < 12; depth++)
		if (must(fork(), "fork") > 0)
			stay();
	ready();
}

/* In a pid namespace of its own, with a nested one inside: three ids for one process. */
static void nested(void)
{
	for (int depth = 0; depth < 2; depth++) {
		must(unshare(CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP), "unshare");
		if (must(fork(), "fork") > 0)
			stay();
	}
	must(sethostname("nested", 6), "sethostname");
	prctl(PR_SET_NAME, "nested inner");
	ready();
}

static void user_namespace(void)
{
	become_user(1000);
	must(unshare(CLONE_NEWUSER | CLONE_NEWNET), "unshare");
	ready();
}

int main(void)
{
	if_executed_stay();
	signal(SIGCHLD, SIG_DFL);
	scenario("odd_arguments", odd_arguments);
	scenario("long_arguments", long_arguments);
	scenario("no_arguments", no_arguments);
	scenario("look_alike", look_alike);
	scenario("odd_comm", odd_comm);
	scenario("moved_arguments", moved_arguments);
	scenario("threads", threads);
	scenario("leaderless", leaderless);
	scenario("zombie", zombie);
	scenario("stopped", stopped);
	scenario("uninterruptible", uninterruptible);
	scenario("credentials", credentials);
	scenario("sandboxed", sandboxed);
	scenario("scheduled", scheduled);
	scenario("nice_one", nice_one);
	scenario("deleted_executable", deleted_executable);
	scenario("odd_executable", odd_executable);
	scenario("memory_executable", memory_executable);
	scenario("orphan", orphan);
	scenario("deep_family", deep_family);
	scenario("nested", nested);
	scenario("user_namespace", user_namespace);
	return 0;
}
