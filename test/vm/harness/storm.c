/*
 * Changes as fast as the machine goes, until killed: `storm KIND…`. Each kind runs in a process of
 * its own, so that a view is taken while the lists it walks are being changed.
 */
#include "scenario.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static void fork_storm(void)
{
	char *argv[] = { "true", NULL };

	for (int i = 0;; i++) {
		if (fork() == 0) {
			if (i % 4 == 0)
				execv("/usr/bin/true", argv);
			_exit(0);
		}
		if (i % 32 == 31)
			while (wait(NULL) > 0)
				;
	}
}

static void *nothing(void *argument)
{
	return argument;
}

static void thread_storm(void)
{
	pthread_t threads[16];

	for (;;) {
		for (int i = 0; i < 16; i++)
			if (pthread_create(&threads[i], NULL, nothing, NULL))
				threads[i] = 0;
		for (int i = 0; i < 16; i++)
			if (threads[i])
				pthread_join(threads[i], NULL);
	}
}

static void map_storm(void)
{
	for (;;) {
		void *at[64];
		for (int i = 0; i < 64; i++)
			at[i] = mmap(NULL, 4096ul * (i + 1), i % 2 ? PROT_READ : PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int i = 0; i < 64; i++)
			munmap(at[i], 4096ul * (i + 1));
	}
}

static void socket_storm(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger now = { .l_onoff = 1 };

	for (unsigned i = 0;; i++) {
		socklen_t length = sizeof(at);
		int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
		int datagram = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
		struct sockaddr_un name = { .sun_family = AF_UNIX };

		at.sin_port = 0;
		bind(server, (struct sockaddr *)&at, sizeof(at));
		listen(server, 1);
		getsockname(server, (struct sockaddr *)&at, &length);
		bind(datagram, (struct sockaddr *)&at, sizeof(at));
		snprintf(name.sun_path + 1, 16, "storm %u", i);
		bind(local, (struct sockaddr *)&name, sizeof(name));
		/* Reset at close, so that no TIME-WAIT piles up. */
		setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		connect(client, (struct sockaddr *)&at, sizeof(at));
		close(client);
		close(server);
		close(datagram);
		close(local);
	}
}

static void file_storm(void)
{
	for (unsigned i = 0;; i++) {
		char path[32];
		int fds[100], n = 1 + i % 100;
		snprintf(path, sizeof(path), "/tmp/storm %u", i % 50);
		for (int j = 0; j < n; j++)
			fds[j] = open(path, O_CREAT | O_RDWR, 0600);
		unlink(path);
		for (int j = 0; j < n; j++)
			close(fds[j]);
	}
}

static void mount_storm(void)
{
	mkdir("/tmp/storm-mount", 0700);
	for (;;) {
		for (int i = 0; i < 8; i++)
			mount("storm", "/tmp/storm-mount", "tmpfs", 0, "");
		for (int i = 0; i < 8; i++)
			umount2("/tmp/storm-mount", MNT_DETACH);
	}
}

static void cgroup_storm(void)
{
	for (unsigned i = 0;; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/sys/fs/cgroup/storm%u", i % 20);
		if (mkdir(path, 0755))
			rmdir(path);
	}
}

/* Bytes that stream through a connection of its own and through datagrams. */
static void traffic_storm(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static char bytes[16384];

	for (;;) {
		socklen_t length = sizeof(at);
		int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
		int datagram = socket(AF_INET, SOCK_DGRAM, 0), other;

		at.sin_port = 0;
		bind(server, (struct sockaddr *)&at, sizeof(at));
		listen(server, 1);
		getsockname(server, (struct sockaddr *)&at, &length);
		connect(client, (struct sockaddr *)&at, sizeof(at));
		other = accept(server, NULL, NULL);
		for (int i = 0; i < 64; i++) {
			if (send(client, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
				recv(other, bytes, sizeof(bytes), MSG_DONTWAIT);
			sendto(datagram, bytes, 512, MSG_DONTWAIT, (struct sockaddr *)&at, sizeof(at));
		}
		close(other);
		close(client);
		close(server);
		close(datagram);
	}
}

/* More than there is, so that pages are reclaimed; the kernel may kill the one who takes them. */
static void memory_storm(void)
{
	size_t whole = (size_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);

	for (;;) {
		pid_t child = fork();

		if (child == 0) {
			FILE *score = fopen("/proc/self/oom_score_adj", "w");
			size_t size = whole / 8 * 7;
			char *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

			if (score && fputs("1000", score) >= 0 && fclose(score) == 0 && at != MAP_FAILED)
				for (size_t i = 0; i < size; i += 4096)
					at[i] = 1;
			_exit(0);
		}
		waitpid(child, NULL, 0);
		usleep(500000);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
	{ "fork", fork_storm },     { "thread", thread_storm }, { "map", map_storm },
	{ "socket", socket_storm }, { "file", file_storm },     { "mount", mount_storm },
	{ "cgroup", cgroup_storm },
	{ "traffic", traffic_storm }, { "memory", memory_storm },
};

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			if (strcmp(argv[i], kinds[k].name) == 0 && fork() == 0)
				kinds[k].run();
	stay();
}
