/*
 * A scenario is one process (or a few) in a state worth looking at. It is forked by scenario(),
 * sets itself up, says ready() and then stays. The program prints "NAME PID" for each, so that a
 * test knows what it has to find, and ends when all are ready. Once ready, the state no longer
 * changes by itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#define READY_FD "SCENARIO_READY_FD"

static int ready_fd = -1;

/* A step without which the scenario would not be what it says it is. */
static inline long must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		_exit(1);
	}
	return result;
}

static inline void tell_ready(void)
{
	must(write(ready_fd, "r", 1), "ready");
	close(ready_fd);
}

static inline void stay(void)
{
	for (;;)
		pause();
}

static inline void ready(void)
{
	tell_ready();
	stay();
}

/* Replaces the program by one that only says ready: this one, under other names. */
static inline void exec_ready(const char *path, char *const argv[])
{
	char variable[64], *environment[] = { variable, NULL };

	snprintf(variable, sizeof(variable), READY_FD "=%d", ready_fd);
	must(execve(path, argv, environment), path);
}

/* The other end of exec_ready: to be called first in main. */
static inline void if_executed_stay(void)
{
	const char *number = getenv(READY_FD);

	if (number == NULL)
		return;
	ready_fd = atoi(number);
	ready();
}

static inline pid_t scenario(const char *name, void (*become)(void))
{
	int ends[2];
	char answer;

	must(pipe(ends), "pipe");
	fflush(stdout);
	pid_t pid = must(fork(), "fork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		close(null);
		close(ends[0]);
		ready_fd = ends[1];
		setsid();
		prctl(PR_SET_NAME, name);
		become();
		_exit(0);
	}
	close(ends[1]);
	if (read(ends[0], &answer, 1) != 1) {
		fprintf(stderr, "%s did not get ready\n", name);
		exit(1);
	}
	close(ends[0]);
	printf("%s %d\n", name, pid);
	return pid;
}
