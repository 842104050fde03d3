/*
 * End states of attacks on user processes, without the attacks: each argument names a scenario that
 * is started. Nothing here does harm: what is "injected" returns at once, or sleeps.
 */
#include "scenario.h"
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static void become_user(uid_t id)
{
	must(setgroups(0, NULL), "setgroups");
	must(setresgid(id, id, id), "setresgid");
	must(setresuid(id, id, id), "setresuid");
}

/* Anew under another name, with the kernel's word on who started it. */
static void exec_as(const char *name)
{
	char *argv[] = { (char *)name, NULL };

	exec_ready("/proc/self/exe", argv);
}

/* An ordinary user's program. */
static void user(void)
{
	become_user(1000);
	exec_as("user");
}

/* An ordinary user's program with a child that executes another one when it is told to. */
static void family(void)
{
	become_user(1000);
	exec_as("family");
}

static void exec_child(int signal)
{
	(void)signal;
	execl("/proc/self/exe", "child", (char *)NULL);
}

static void be_family(void)
{
	if (must(fork(), "fork") > 0)
		ready();
	close(ready_fd);
	prctl(PR_SET_NAME, "family child");
	signal(SIGUSR1, exec_child);
	stay();
}

static void *memory(size_t size, int protection)
{
	void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		must(-1, "mmap");
	memset(area, 0xc3, size);
	must(mprotect(area, size, protection), "mprotect");
	return area;
}

/* A page that could be executed, with nothing but returns in it. */
static void injected_page(void)
{
	memory(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	ready();
}

/* mov eax, 34 (pause); syscall; jmp back: what waits for its orders. */
static const unsigned char waiter[] = { 0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7 };

static void injected_waiter(void)
{
	void *area = memory(65536, PROT_READ | PROT_WRITE | PROT_EXEC);

	memcpy(area, waiter, sizeof(waiter));
	tell_ready();
	((void (*)(void))area)();
}

/* push 34; pop rax; syscall: never executed. */
static void injected_dormant(void)
{
	static const unsigned char code[] = { 0x6a, 34, 0x58, 0x31, 0xff, 0x0f, 0x05, 0xc3 };
	unsigned char *area = memory(65536, PROT_READ | PROT_WRITE);

	memcpy(area + 5000, code, sizeof(code));
	must(mprotect(area, 65536, PROT_READ | PROT_EXEC), "mprotect");
	ready();
}

/* A program loaded by hand: its headers readable, what follows executable. */
static void injected_program(void)
{
	unsigned char *area = memory(5 * 65536, PROT_READ | PROT_WRITE);
	int self = must(open("/proc/self/exe", O_RDONLY), "open");

	must(read(self, area, 5 * 65536), "read");
	close(self);
	must(mprotect(area, 65536, PROT_READ), "mprotect");
	must(mprotect(area + 65536, 4 * 65536, PROT_READ | PROT_EXEC), "mprotect");
	ready();
}

static void injected_heap(void)
{
	char *end = sbrk(16384);
	char *page = (char *)(((uintptr_t)end + 4095) & ~4095UL);

	memset(page, 0xc3, 4096);
	must(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC), "mprotect");
	ready();
}

static void injected_stack(void)
{
	char here[8192];
	char *page = (char *)(((uintptr_t)here + 4095) & ~4095UL);

	must(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC), "mprotect");
	ready();
}

/* A library that was never on a disk; this program stands in for one. */
static void memory_library(void)
{
	struct stat status;
	int self = must(open("/proc/self/exe", O_RDONLY), "open");
	int file = must(memfd_create("library", 0), "memfd_create");

	must(fstat(self, &status), "fstat");
	must(sendfile(file, self, NULL, status.st_size), "sendfile");
	if (mmap(NULL, status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED)
		must(-1, "mmap");
	close(self);
	close(file);
	ready();
}

__attribute__((noinline, aligned(64))) static int to_patch(int value)
{
	return value * 3 + 1;
}

/* Its own code, changed in its own memory: the file stays as it is. */
static void changed_code(void)
{
	static const unsigned char jump[] = { 0xe9, 0, 0, 0, 0 };
	unsigned char *code = (unsigned char *)to_patch;
	char *page = (char *)((uintptr_t)code & ~4095UL);

	must(to_patch(getpid()) - 1, "to_patch");
	must(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC), "mprotect");
	memcpy(code, jump, sizeof(jump));
	must(mprotect(page, 8192, PROT_READ | PROT_EXEC), "mprotect");
	ready();
}

/* A library from where anybody may write; this program stands in for one. */
static void temporary_library(void)
{
	struct stat status;
	const char *path = getenv("LIBRARY") ? getenv("LIBRARY") : "/tmp/library.so";
	int self = must(open("/proc/self/exe", O_RDONLY), "open");
	int file = must(open(path, O_RDWR | O_CREAT, 0755), "open");

	must(fstat(self, &status), "fstat");
	must(sendfile(file, self, NULL, status.st_size), "sendfile");
	if (mmap(NULL, status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED)
		must(-1, "mmap");
	close(self);
	close(file);
	ready();
}

/* The name has a Cyrillic letter at its beginning. */
static void foreign_letter(void)
{
	prctl(PR_SET_NAME, "\xd1\x95shd");
	ready();
}

static void padded_name(void)
{
	prctl(PR_SET_NAME, "cron ");
	ready();
}

/* Holds the process that the environment names. */
static void tracer(void)
{
	must(ptrace(PTRACE_SEIZE, atoi(getenv("TRACEE")), NULL, NULL), "ptrace");
	ready();
}

static void *sleep_on(void *unused)
{
	stay();
	return unused;
}

static void threads(void)
{
	pthread_t thread;

	for (int count = 0; count < 3; count++)
		must(-pthread_create(&thread, NULL, sleep_on, NULL), "pthread_create");
	ready();
}

/* The size of memory that miners of RandomX coins work on; it is never touched. */
static void miner(void)
{
	if (mmap(NULL, 2080UL << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		must(-1, "mmap");
	ready();
}

/* A program in a file that no folder ever had, where only root may write. */
static void nameless_program(void)
{
	static char *arguments[] = { "nameless", NULL };
	char path[64];
	struct stat status;
	int self = must(open("/proc/self/exe", O_RDONLY), "open");
	int file = must(open("/usr", O_TMPFILE | O_RDWR, 0700), "O_TMPFILE");

	must(fstat(self, &status), "fstat");
	must(sendfile(file, self, NULL, status.st_size), "sendfile");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	self = must(open(path, O_RDONLY | O_CLOEXEC), "open");
	/* What is open for writing cannot be executed. */
	close(file);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self);
	exec_ready(path, arguments);
}

static const struct {
	const char *name;
	void (*become)(void);
} scenarios[] = {
	{ "user", user },
	{ "family", family },
	{ "injected_page", injected_page },
	{ "injected_waiter", injected_waiter },
	{ "injected_dormant", injected_dormant },
	{ "injected_program", injected_program },
	{ "injected_heap", injected_heap },
	{ "injected_stack", injected_stack },
	{ "memory_library", memory_library },
	{ "changed_code", changed_code },
	{ "temporary_library", temporary_library },
	{ "nameless_program", nameless_program },
	{ "foreign_letter", foreign_letter },
	{ "padded_name", padded_name },
	{ "tracer", tracer },
	{ "threads", threads },
	{ "miner", miner },
};

int main(int argc, char **argv)
{
	if (strcmp(argv[0], "child") == 0)
		stay();
	if (getenv(READY_FD) != NULL && strcmp(argv[0], "family") == 0) {
		ready_fd = atoi(getenv(READY_FD));
		be_family();
	}
	if_executed_stay();
	for (int arg = 1; arg < argc; arg++)
		for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
			if (strcmp(argv[arg], scenarios[i].name) == 0)
				scenario(scenarios[i].name, scenarios[i].become);
	return 0;
}
