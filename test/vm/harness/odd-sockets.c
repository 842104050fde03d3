/* Sockets of every family and state that a view has to know. Ports are fixed: 7000 to 7099. */
#include "scenario.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

static socklen_t v4(union address *at, const char *host, int port)
{
	memset(at, 0, sizeof(*at));
	at->v4.sin_family = AF_INET;
	at->v4.sin_port = htons(port);
	inet_pton(AF_INET, host, &at->v4.sin_addr);
	return sizeof(at->v4);
}

static socklen_t v6(union address *at, const char *host, int port)
{
	memset(at, 0, sizeof(*at));
	at->v6.sin6_family = AF_INET6;
	at->v6.sin6_port = htons(port);
	inet_pton(AF_INET6, host, &at->v6.sin6_addr);
	return sizeof(at->v6);
}

/* "@…" is an abstract name, with its NULs kept. */
static socklen_t local(union address *at, const char *name, size_t length)
{
	memset(at, 0, sizeof(*at));
	at->local.sun_family = AF_UNIX;
	memcpy(at->local.sun_path, name, length);
	if (name[0] == '@')
		at->local.sun_path[0] = 0;
	return offsetof(struct sockaddr_un, sun_path) + length + (name[0] != '@');
}

static socklen_t ip(union address *at, const char *host, int port)
{
	return strchr(host, ':') ? v6(at, host, port) : v4(at, host, port);
}

static int bound(int type, const char *host, int port, int share)
{
	union address at;
	socklen_t length = ip(&at, host, port);
	int on = 1, fd = must(socket(at.any.sa_family, type, 0), "socket");

	if (share)
		must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
	must(bind(fd, &at.any, length), host);
	return fd;
}

static int listening(const char *host, int port, int share)
{
	int fd = bound(SOCK_STREAM, host, port, share);

	must(listen(fd, 16), "listen");
	return fd;
}

static int connected(int type, const char *host, int port)
{
	union address at;
	socklen_t length = ip(&at, host, port);
	int fd = must(socket(at.any.sa_family, type, 0), "socket");

	must(connect(fd, &at.any, length), host);
	return fd;
}

static void tcp(void)
{
	int server4 = listening("127.0.0.1", 7001, 0);
	int server6 = listening("::1", 7002, 0);
	int both = listening("::", 7003, 0); /* v4 connections appear as ::ffff:… */

	listening("0.0.0.0", 7004, 1);
	listening("0.0.0.0", 7004, 1);
	connected(SOCK_STREAM, "127.0.0.1", 7001);
	must(accept(server4, NULL, NULL), "accept");
	connected(SOCK_STREAM, "::1", 7002);
	must(accept(server6, NULL, NULL), "accept");
	connected(SOCK_STREAM, "127.0.0.1", 7003);
	must(accept(both, NULL, NULL), "accept");
	ready();
}

/* CLOSE-WAIT on one side and FIN-WAIT-2 on the other, for as long as both keep their ends. */
static void tcp_half_closed(void)
{
	int server = listening("127.0.0.1", 7005, 0);
	int client = connected(SOCK_STREAM, "127.0.0.1", 7005);

	must(accept(server, NULL, NULL), "accept");
	must(shutdown(client, SHUT_WR), "shutdown");
	ready();
}

/* Established, but never accepted: no descriptor and no inode for the server's end. */
static void tcp_backlog(void)
{
	listening("127.0.0.1", 7006, 0);
	connected(SOCK_STREAM, "127.0.0.1", 7006);
	ready();
}

/* Bound and neither listening nor connected: only in the bind hash table. */
static void tcp_bound(void)
{
	bound(SOCK_STREAM, "127.0.0.1", 7007, 0);
	must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	ready();
}

static void tcp_with_data(void)
{
	int server = listening("127.0.0.1", 7008, 0);
	int client = connected(SOCK_STREAM, "127.0.0.1", 7008);

	must(accept(server, NULL, NULL), "accept");
	must(send(client, "unread", 6, 0), "send");
	ready();
}

static void udp(void)
{
	union address at;
	socklen_t length = v4(&at, "127.0.0.1", 7010);
	int bound4 = bound(SOCK_DGRAM, "127.0.0.1", 7012, 0);

	bound(SOCK_DGRAM, "127.0.0.1", 7010, 0);
	bound(SOCK_DGRAM, "::", 7011, 0);
	bound(SOCK_DGRAM, "0.0.0.0", 7013, 1);
	bound(SOCK_DGRAM, "0.0.0.0", 7013, 1);
	must(connect(bound4, &at.any, length), "connect");
	must(send(bound4, "unread", 6, 0), "send");
	ready();
}

static int named(int type, const char *name, size_t length, int clients)
{
	union address at;
	socklen_t size = local(&at, name, length);
	int server = must(socket(AF_UNIX, type, 0), "socket");

	must(bind(server, &at.any, size), "bind unix");
	if (type != SOCK_DGRAM)
		must(listen(server, 8), "listen");
	while (clients-- > 0) {
		int client = must(socket(AF_UNIX, type, 0), "socket");
		must(connect(client, &at.any, size), "connect unix");
		if (type != SOCK_DGRAM)
			must(accept(server, NULL, NULL), "accept");
	}
	return server;
}

static void unix_sockets(void)
{
	int pair[2];

	named(SOCK_STREAM, "/run/stream", 11, 2);
	named(SOCK_DGRAM, "/run/datagram", 13, 1);
	named(SOCK_SEQPACKET, "/run/packets", 12, 1);
	named(SOCK_STREAM, "/run/odd name\n", 14, 0);
	named(SOCK_STREAM, "@abstract", 9, 1);
	named(SOCK_DGRAM, "@with\0zero", 10, 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
	must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	ready();
}

/* Its name on disk is gone, the socket is not. */
static void unix_unlinked(void)
{
	named(SOCK_STREAM, "/run/unlinked", 13, 1);
	must(unlink("/run/unlinked"), "unlink");
	ready();
}

/* A listener that only lies in another socket's queue: no process has a descriptor for it. */
static void in_flight(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec one = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int pair[2], passed = listening("127.0.0.1", 7009, 0);

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &passed, sizeof(int));
	must(sendmsg(pair[0], &message, 0), "sendmsg");
	close(passed);
	ready();
}

/* Listeners that are only registered with an io_uring: their descriptors are closed. */
static void registered(void)
{
	struct io_uring_params parameters = { 0 };
	int ring = must(syscall(SYS_io_uring_setup, 4, &parameters), "io_uring_setup");
	int files[600];

	memset(files, 0xff, sizeof(files));
	files[1] = listening("127.0.0.1", 7060, 0);
	files[599] = listening("127.0.0.1", 7061, 0);
	must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, files, 600), "register");
	close(files[1]);
	close(files[599]);
	ready();
}

static void raw(void)
{
	must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "raw");
	must(socket(AF_INET, SOCK_RAW, 254), "raw");
	must(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "raw");
	ready();
}

/* The second one has a filter that lets only "magic" packets through: a back door's ear. */
static void packet(void)
{
	struct sockaddr_ll on = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = if_nametoindex("lo") };
	struct sock_filter magic[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 20),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x5ca1ab1e, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 65535),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = 4, .filter = magic };

	must(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), "packet");
	int fd = must(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), "packet");
	must(bind(fd, (struct sockaddr *)&on, sizeof(on)), "bind packet");
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), "filter");
	must(socket(AF_PACKET, SOCK_RAW, 0), "packet");
	ready();
}

static void netlink(void)
{
	struct sockaddr_nl groups = { .nl_family = AF_NETLINK, .nl_groups = 1, .nl_pid = 4242 };
	int fd = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink");

	must(bind(fd, (struct sockaddr *)&groups, sizeof(groups)), "bind netlink");
	must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT), "netlink");
	ready();
}

static void other_namespace(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	must(unshare(CLONE_NEWNET), "unshare");
	must(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &lo), "lo up");
	int server = listening("127.0.0.1", 7001, 0);
	connected(SOCK_STREAM, "127.0.0.1", 7001);
	must(accept(server, NULL, NULL), "accept");
	bound(SOCK_DGRAM, "::1", 7020, 0);
	named(SOCK_STREAM, "@abstract", 9, 0);
	ready();
}

/* One socket, two processes. */
static void shared(void)
{
	listening("127.0.0.1", 7021, 0);
	if (must(fork(), "fork") > 0)
		stay();
	ready();
}

int main(void)
{
	scenario("tcp", tcp);
	scenario("tcp_half_closed", tcp_half_closed);
	scenario("tcp_backlog", tcp_backlog);
	scenario("tcp_bound", tcp_bound);
	scenario("tcp_with_data", tcp_with_data);
	scenario("udp", udp);
	scenario("unix_sockets", unix_sockets);
	scenario("unix_unlinked", unix_unlinked);
	scenario("in_flight", in_flight);
	scenario("registered", registered);
	scenario("raw", raw);
	scenario("packet", packet);
	scenario("netlink", netlink);
	scenario("other_namespace", other_namespace);
	scenario("shared", shared);
	return 0;
}
