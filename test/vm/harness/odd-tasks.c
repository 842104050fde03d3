/* What odd-processes and odd-files leave out of tasks, their mappings and their files. */
#include "scenario.h"
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define PR_SET_VMA_ANON_NAME 0

static int arguments_count;
static char **arguments;

/* setproctitle(3)'s old way: over the arguments and on into the environment. */
static void overwritten_arguments(void)
{
	char *start = arguments[0], *last = arguments[arguments_count - 1];
	size_t length = last + strlen(last) - start + 40;

	memset(start, 0, length + 1);
	memset(start, 't', length);
	memcpy(start, "title: ", 7);
	ready();
}

static void on_a_terminal(void)
{
	int unlocked = 0, number;
	char path[32];
	int master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY), "/dev/ptmx");

	must(ioctl(master, TIOCSPTLCK, &unlocked), "TIOCSPTLCK");
	must(ioctl(master, TIOCGPTN, &number), "TIOCGPTN");
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	int slave = must(open(path, O_RDWR | O_NOCTTY), path);
	must(ioctl(slave, TIOCSCTTY, 0), "TIOCSCTTY");
	ready();
}

static void traced(void)
{
	pid_t child = must(fork(), "fork");

	if (child == 0) {
		prctl(PR_SET_NAME, "is traced");
		must(ptrace(PTRACE_TRACEME, 0, 0, 0), "PTRACE_TRACEME");
		raise(SIGSTOP);
		stay();
	}
	must(waitpid(child, NULL, 0), "waitpid");
	ready();
}

static void copy_self(const char *path)
{
	int self = must(open("/proc/self/exe", O_RDONLY), "/proc/self/exe");
	int to = must(open(path, O_CREAT | O_WRONLY, 0755), path);
	struct stat status;

	fstat(self, &status);
	must(sendfile(to, self, NULL, status.st_size), "sendfile");
	close(self);
	close(to);
}

/* Its program lies on a mount that no other process can see. */
static void private_mount(void)
{
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	must(mount("only mine", "/mnt", "tmpfs", 0, NULL), "mount");
	must(mkdir("/mnt/below", 0755), "mkdir");
	char *argv[] = { "private", NULL };
	copy_self("/mnt/below/private program");
	exec_ready("/mnt/below/private program", argv);
}

static void detached_mount(void)
{
	mkdir("/tmp/detached", 0755);
	must(mount("detached", "/tmp/detached", "tmpfs", 0, NULL), "mount");
	must(mkdir("/tmp/detached/inside", 0755), "mkdir");
	must(chdir("/tmp/detached/inside"), "chdir");
	must(open("file", O_CREAT | O_RDWR, 0600), "file");
	must(umount2("/tmp/detached", MNT_DETACH), "umount");
	ready();
}

static void deleted_directory(void)
{
	must(mkdir("/tmp/deleted directory", 0755), "mkdir");
	must(chdir("/tmp/deleted directory"), "chdir");
	must(rmdir("/tmp/deleted directory"), "rmdir");
	ready();
}

static void jailed(void)
{
	char *argv[] = { "program", NULL };

	must(mkdir("/tmp/jail", 0755), "mkdir");
	must(mkdir("/tmp/jail/bin", 0755), "mkdir");
	copy_self("/tmp/jail/bin/program");
	must(chroot("/tmp/jail"), "chroot");
	must(chdir("/bin"), "chdir");
	exec_ready("/bin/program", argv);
}

/* Its program is a file of an overlay, whose pages are another filesystem's. */
static void overlaid(void)
{
	char *argv[] = { "overlaid", NULL };

	must(mkdir("/tmp/lower", 0755), "mkdir");
	must(mkdir("/tmp/overlay", 0755), "mkdir");
	must(mkdir("/dev/shm/upper", 0755), "mkdir");
	must(mkdir("/dev/shm/work", 0755), "mkdir");
	copy_self("/tmp/lower/program");
	must(mount("overlay", "/tmp/overlay", "overlay", 0,
		   "lowerdir=/tmp/lower,upperdir=/dev/shm/upper,workdir=/dev/shm/work"), "overlay");
	exec_ready("/tmp/overlay/program", argv);
}

static void logged_in(void)
{
	int fd = open("/proc/self/loginuid", O_WRONLY);

	if (fd >= 0 && write(fd, "1000", 4) != 4)
		perror("loginuid");
	close(fd);
	ready();
}

static void batch(void)
{
	struct sched_param none = { 0 };

	must(sched_setscheduler(0, SCHED_BATCH, &none), "SCHED_BATCH");
	ready();
}

static void idle_policy(void)
{
	struct sched_param none = { 0 };

	must(sched_setscheduler(0, SCHED_IDLE, &none), "SCHED_IDLE");
	ready();
}

static void *own_files(void *unused)
{
	must(unshare(CLONE_FILES), "CLONE_FILES");
	must(open("/dev/full", O_RDWR), "/dev/full");
	ready();
	return unused;
}

static void unshared_files(void)
{
	pthread_t thread;

	must(-pthread_create(&thread, NULL, own_files, NULL), "pthread_create");
	stay();
}

/* Where the kernel is too old or configured without one of these, there is one file less. */
static void rare_descriptors(void)
{
	char parameters[256] = { 0 };
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(event), .config = PERF_COUNT_SW_CPU_CLOCK,
	};

	syscall(SYS_io_uring_setup, 4, parameters);
	syscall(SYS_userfaultfd, 0);
	syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
	fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
	must(open("/proc/self/ns/net", O_RDONLY), "ns/net");
	must(open("/proc/self/ns/mnt", O_RDONLY), "ns/mnt");
	must(open("/proc", O_RDONLY | O_DIRECTORY), "/proc");
	must(open("/tmp", O_TMPFILE | O_RDWR, 0600), "O_TMPFILE");
	int at = must(open("/etc/passwd", O_RDONLY), "passwd");
	must(lseek(at, 17, SEEK_SET), "lseek");
	must(dup2(at, 1000), "dup2");
	must(fcntl(1000, F_SETFD, FD_CLOEXEC), "F_SETFD");
	must(open("/tmp/appended to", O_CREAT | O_APPEND | O_WRONLY | O_SYNC, 0600), "O_APPEND");
	ready();
}

static void rare_mappings(void)
{
	char *named = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(NULL, 8192, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 4096, "a name");
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, shared, 8192, "shared name");
	/* Above 2^47 where there are five levels. */
	mmap((void *)(1ul << 52), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap((void *)0xff000000000000ul, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap((void *)0x10000, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	must(sbrk(1 << 20) == (void *)-1 ? -1 : 0, "sbrk");
	mkdir("/tmp/map folder", 0755);
	int file = must(open("/tmp/map folder/odd\nname\\x", O_CREAT | O_RDWR, 0600), "file");
	must(ftruncate(file, 1 << 20), "ftruncate");
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0xff000);
	ready();
}

/* Grows, shrinks and splits, so that nodes of its tree were emptied, filled and merged. */
static void churned_mappings(void)
{
	unsigned seed = 4711;
	char *all = mmap(NULL, 4096ul * 4000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		char *at = all + 4096ul * ((seed >> 8) % 4000);
		switch ((seed >> 24) % 3) {
		case 0:
			munmap(at, 4096);
			break;
		case 1:
			mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		default:
			mmap(at, 4096, PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
	}
	ready();
}

int main(int argc, char **argv)
{
	if_executed_stay();
	arguments_count = argc;
	arguments = argv;
	scenario("overwritten_arguments", overwritten_arguments);
	scenario("on_a_terminal", on_a_terminal);
	scenario("traced", traced);
	scenario("private_mount", private_mount);
	scenario("detached_mount", detached_mount);
	scenario("deleted_directory", deleted_directory);
	scenario("jailed", jailed);
	scenario("overlaid", overlaid);
	scenario("logged_in", logged_in);
	scenario("batch", batch);
	scenario("idle_policy", idle_policy);
	scenario("unshared_files", unshared_files);
	scenario("rare_descriptors", rare_descriptors);
	scenario("rare_mappings", rare_mappings);
	scenario("churned_mappings", churned_mappings);
	return 0;
}
