/*
 * The guest end of the test harness: process 1 of a test guest. It runs shell commands that the
 * host sends over a character device and sends back what they write, framed and binary-safe.
 *
 * Frame, both ways: type (1 byte), id (u32, little endian), length (u32), payload.
 *   host  -> guest  'r' run this command; 'R' the same, with input to follow; 'i' input for a
 *                   command (no bytes: end of input); 'k' kill it
 *   guest -> host   'h' here I am; 'o' output; 'e' error output; 'x' ended (u32 status)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define JOBS 64
#define HEADER 9

struct job {
	pid_t pid; /* 0: the place is free */
	uint32_t id;
	int in, out, err;
};

static struct job jobs[JOBS];
static int port;

static void send_all(const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(port, at, size);
		if (n > 0) {
			at += n;
			size -= n;
		} else {
			usleep(20000); /* nobody listens just now */
		}
	}
}

static void send_frame(char type, uint32_t id, const void *data, uint32_t size)
{
	static char frame[HEADER + 65536];

	frame[0] = type;
	memcpy(frame + 1, &id, 4);
	memcpy(frame + 5, &size, 4);
	memcpy(frame + HEADER, data, size);
	send_all(frame, HEADER + size);
}

static struct job *job_of(uint32_t id)
{
	for (int i = 0; i < JOBS; i++)
		if (jobs[i].pid != 0 && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void become_command(const char *command, int in, int out, int err)
{
	sigset_t none;

	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void start(uint32_t id, const char *command, int with_input)
{
	int in[2] = { -1, -1 }, out[2], err[2];
	struct job *job = NULL;

	for (int i = 0; i < JOBS && job == NULL; i++)
		if (jobs[i].pid == 0)
			job = &jobs[i];
	if (job == NULL || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		uint32_t status = 126;
		send_frame('x', id, &status, 4);
		return;
	}
	if (!with_input || pipe2(in, O_CLOEXEC))
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0)
		become_command(command, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	*job = (struct job){ .pid = pid, .id = id, .in = in[1], .out = out[0], .err = err[0] };
}

/* Passes on what is there now; closes the pipe at its end. */
static void pass_on(struct job *job, char type, int *fd)
{
	static char data[65536];
	ssize_t n;

	while ((n = read(*fd, data, sizeof(data))) > 0)
		send_frame(type, job->id, data, n);
	if (n == 0) {
		close(*fd);
		*fd = -1;
	}
}

static void finish(struct job *job, int status)
{
	uint32_t code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

	if (job->out >= 0)
		pass_on(job, 'o', &job->out);
	if (job->err >= 0)
		pass_on(job, 'e', &job->err);
	close(job->in);
	close(job->out);
	close(job->err);
	send_frame('x', job->id, &code, 4);
	job->pid = 0;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < JOBS; i++)
			if (jobs[i].pid == pid)
				finish(&jobs[i], status);
}

static void input(struct job *job, const char *data, uint32_t size)
{
	if (size == 0) {
		close(job->in);
		job->in = -1;
	}
	while (size > 0) {
		ssize_t n = write(job->in, data, size);
		if (n <= 0)
			return;
		data += n;
		size -= n;
	}
}

static void obey(char type, uint32_t id, char *data, uint32_t size)
{
	struct job *job = job_of(id);

	if (type == 'r' || type == 'R')
		start(id, data, type == 'R');
	if (type == 'i' && job != NULL)
		input(job, data, size);
	if (type == 'k' && job != NULL)
		kill(-job->pid, SIGKILL);
}

/* Frames arrive in pieces: keeps what is not yet whole. */
static void receive(void)
{
	static char *data;
	static size_t have, room;

	if (room < have + 65536) {
		room = have + 262144;
		data = realloc(data, room);
	}
	ssize_t n = read(port, data + have, 65536);
	if (n <= 0) {
		have = 0; /* the host went away: a half frame is lost */
		usleep(20000);
		return;
	}
	have += n;
	size_t at = 0;
	while (have - at >= HEADER) {
		uint32_t id, size;
		memcpy(&id, data + at + 1, 4);
		memcpy(&size, data + at + 5, 4);
		if (have - at - HEADER < size)
			break;
		char *payload = malloc(size + 1);
		memcpy(payload, data + at + HEADER, size);
		payload[size] = 0;
		obey(data[at], id, payload, size);
		free(payload);
		at += HEADER + size;
	}
	memmove(data, data + at, have - at);
	have -= at;
}

static void open_port(const char *path)
{
	struct termios raw;

	for (int tries = 0; (port = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0; tries++) {
		if (tries == 500)
			perror(path);
		usleep(10000);
	}
	if (tcgetattr(port, &raw) == 0) {
		cfmakeraw(&raw);
		cfsetspeed(&raw, B115200);
		tcsetattr(port, TCSANOW, &raw);
	}
}

int main(int argc, char **argv)
{
	struct pollfd fds[2 + 2 * JOBS];
	sigset_t child;

	if (argc != 2)
		return 2;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	int children = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	open_port(argv[1]);
	send_frame('h', 0, "", 0);
	for (;;) {
		fds[0] = (struct pollfd){ .fd = port, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = children, .events = POLLIN };
		for (int i = 0; i < JOBS; i++) {
			int open = jobs[i].pid != 0;
			fds[2 + 2 * i] = (struct pollfd){ .fd = open ? jobs[i].out : -1, .events = POLLIN };
			fds[3 + 2 * i] = (struct pollfd){ .fd = open ? jobs[i].err : -1, .events = POLLIN };
		}
		poll(fds, 2 + 2 * JOBS, -1);
		for (int i = 0; i < JOBS; i++) {
			if (fds[2 + 2 * i].revents)
				pass_on(&jobs[i], 'o', &jobs[i].out);
			if (fds[3 + 2 * i].revents)
				pass_on(&jobs[i], 'e', &jobs[i].err);
		}
		if (fds[1].revents) {
			struct signalfd_siginfo info;
			while (read(children, &info, sizeof(info)) > 0)
				;
			reap();
		}
		if (fds[0].revents)
			receive();
	}
}
