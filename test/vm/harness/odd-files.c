/* Open files and memory mappings of every kind that a view has to name. */
#include "scenario.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static int made(const char *path, size_t size)
{
	int fd = must(open(path, O_CREAT | O_RDWR | O_TRUNC, 0644), path);

	must(ftruncate(fd, size), "ftruncate");
	return fd;
}

static void descriptors(void)
{
	sigset_t signals;
	int ends[2];

	must(pipe(ends), "pipe");
	mkfifo("/tmp/fifo", 0600);
	must(open("/tmp/fifo", O_RDWR), "fifo");
	must(eventfd(0, 0), "eventfd");
	int epoll = must(epoll_create1(0), "epoll");
	struct epoll_event event = { .events = EPOLLIN };
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), "epoll_ctl");
	must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd");
	sigemptyset(&signals);
	must(signalfd(-1, &signals, 0), "signalfd");
	must(inotify_add_watch(must(inotify_init1(0), "inotify"), "/tmp", IN_CREATE), "watch");
	must(syscall(SYS_memfd_create, "a memory file", 0), "memfd");
	must(syscall(SYS_pidfd_open, getppid(), 0), "pidfd");
	must(open("/tmp", O_PATH | O_DIRECTORY), "O_PATH");
	must(open("/proc/self/maps", O_RDONLY), "/proc");
	must(open("/dev/zero", O_RDONLY), "/dev/zero");
	must(open("/dev/ptmx", O_RDWR | O_NOCTTY), "/dev/ptmx");
	made("/tmp/odd file\nname", 10);
	made("/tmp/appended", 0);
	ready();
}

static void deleted_file(void)
{
	int fd = made("/tmp/deleted-file", 4096);

	must(write(fd, "still here", 10), "write");
	must(unlink("/tmp/deleted-file"), "unlink");
	ready();
}

/* More than the 64 and 256 that the first tables hold, with holes. */
static void many_descriptors(void)
{
	for (int i = 0; i < 700; i++)
		must(dup2(0, 10 + i * 2 % 1000), "dup2");
	ready();
}

/* An anonymous page that can be written and executed; what injected code lives in. */
static void writable_code(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(page, "\xc3", 1);
	ready();
}

static void mappings(void)
{
	int file = made("/tmp/mapped", 65536);
	int memory = must(syscall(SYS_memfd_create, "mapped memory", 0), "memfd");
	int gone = made("/tmp/mapped-then-deleted", 8192);

	must(ftruncate(memory, 16384), "ftruncate");
	mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, file, 4096);
	mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0);
	mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	close(file);
	close(memory);
	unlink("/tmp/mapped-then-deleted");
	must(shmget(IPC_PRIVATE, 4096, 0600), "shmget");
	shmat(must(shmget(4242, 8192, IPC_CREAT | 0600), "shmget"), NULL, 0);
	ready();
}

/* Thousands of mappings: a maple tree of several levels. */
static void many_mappings(void)
{
	char *all = mmap(NULL, 4096ul * 6000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 6000; i += 2)
		must(mprotect(all + 4096ul * i, 4096, PROT_READ | PROT_WRITE), "mprotect");
	ready();
}

/* Files whose pages are in the page cache, sparse and whole. */
static void cached_files(void)
{
	int sparse = made("/tmp/sparse", 1 << 20);
	int whole = made("/tmp/whole", 0);

	must(pwrite(sparse, "middle", 6, 500000), "pwrite");
	for (uint32_t i = 0; i < 50000; i++)
		must(write(whole, &i, sizeof(i)), "write");
	ready();
}

static void elsewhere(void)
{
	must(mkdir("/tmp/new root", 0755), "mkdir");
	must(mkdir("/tmp/new root/inside", 0755), "mkdir");
	must(chroot("/tmp/new root"), "chroot");
	must(chdir("/inside"), "chdir");
	ready();
}

int main(void)
{
	scenario("descriptors", descriptors);
	scenario("deleted_file", deleted_file);
	scenario("many_descriptors", many_descriptors);
	scenario("writable_code", writable_code);
	scenario("mappings", mappings);
	scenario("many_mappings", many_mappings);
	scenario("cached_files", cached_files);
	scenario("elsewhere", elsewhere);
	return 0;
}
