/*
 * End states of attacks on user processes, without the attacks: each argument names a scenario that
 * is started. Nothing here does harm: what is "injected" returns at once, or sleeps.
 */
#include "scenario.h"
#include <grp.h>

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

static const struct {
	const char *name;
	void (*become)(void);
} scenarios[] = {
	{ "user", user },
	{ "family", family },
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
