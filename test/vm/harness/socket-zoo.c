/*
 * socket-zoo FOLDER [ADDRESS]: opens one socket of every kind and state that a view of sockets has
 * to tell apart. Unix sockets get their names in FOLDER. ADDRESS is that of a dummy device on whose
 * network nobody answers, such as 10.9.9.1; without one, states that need silence are left out.
 *
 * socket-zoo churn: opens and closes connections as fast as it can.
 *
 * socket-zoo xdp DEVICE: attaches a program that lets every packet pass.
 *
 * socket-zoo vsock: a listener and a connection through the loop of vsock.
 *
 * Each says "ready" on its output and goes on until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PROTOCOL_UDPLITE 136
#define PROTOCOL_MPTCP 262

static int check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "socket-zoo: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static socklen_t address(struct sockaddr_storage *out, const char *text, int port)
{
	memset(out, 0, sizeof *out);
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof *v4;
	}
	check(inet_pton(AF_INET6, text, &v6->sin6_addr) - 1, text);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof *v6;
}

/* A new socket bound to an address; -1 if the kernel does not know the protocol. */
static int bound(int type, int protocol, const char *text, int port)
{
	struct sockaddr_storage to;
	socklen_t length = address(&to, text, port);
	int one = 1;
	int fd = socket(to.ss_family, type, protocol);
	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ENOPROTOOPT || errno == EACCES))
		return -1;
	check(fd, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	check(bind(fd, (void *)&to, length), text);
	return fd;
}

static int listener(int protocol, const char *text, int port, int only6)
{
	struct sockaddr_storage to;
	socklen_t length = address(&to, text, port);
	int one = 1;
	int fd = socket(to.ss_family, SOCK_STREAM, protocol);
	if (fd < 0 && protocol != 0)
		return -1;
	check(fd, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (only6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	check(bind(fd, (void *)&to, length), text);
	check(listen(fd, 8), "listen");
	return fd;
}

static int connected(int type, int protocol, const char *text, int port)
{
	struct sockaddr_storage to;
	socklen_t length = address(&to, text, port);
	int fd = check(socket(to.ss_family, type, protocol), "socket");
	check(connect(fd, (void *)&to, length), "connect");
	return fd;
}

static void inet_sockets(void)
{
	int v4 = listener(0, "127.0.0.1", 8080, 0);
	listener(0, "0.0.0.0", 2222, 0);
	int dual = listener(0, "::", 8081, 0);
	int v6 = listener(0, "::1", 8082, 1);
	listener(0, "::", 8083, 1);

	/* Established, both ends held. */
	connected(SOCK_STREAM, 0, "127.0.0.1", 8080);
	check(accept(v4, NULL, NULL), "accept");
	connected(SOCK_STREAM, 0, "::1", 8082);
	check(accept(v6, NULL, NULL), "accept");
	/* An IPv4 peer of an IPv6 socket. */
	connected(SOCK_STREAM, 0, "127.0.0.1", 8081);
	check(accept(dual, NULL, NULL), "accept");
	/* In the backlog, accepted by nobody. */
	connected(SOCK_STREAM, 0, "127.0.0.1", 2222);
	/* FIN-WAIT-2 and CLOSE-WAIT. */
	int half = connected(SOCK_STREAM, 0, "127.0.0.1", 8080);
	check(accept(v4, NULL, NULL), "accept");
	shutdown(half, SHUT_WR);
	/* The same, but the closing end lives on only as a small time-wait socket. */
	int orphan = connected(SOCK_STREAM, 0, "::1", 8082);
	check(accept(v6, NULL, NULL), "accept");
	close(orphan);
	/* TIME-WAIT. */
	int gone = connected(SOCK_STREAM, 0, "127.0.0.1", 8080);
	int peer = check(accept(v4, NULL, NULL), "accept");
	close(gone);
	usleep(50000);
	close(peer);
	/* A socket that was only made. */
	check(socket(AF_INET, SOCK_STREAM, 0), "socket");
	check(socket(AF_INET6, SOCK_DGRAM, 0), "socket");

	bound(SOCK_DGRAM, 0, "0.0.0.0", 5300);
	bound(SOCK_DGRAM, 0, "127.0.0.1", 5301);
	bound(SOCK_DGRAM, 0, "::", 5302);
	bound(SOCK_DGRAM, 0, "::1", 5303);
	connected(SOCK_DGRAM, 0, "127.0.0.1", 5301);
	connected(SOCK_DGRAM, 0, "::1", 5303);
	int device = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	check(setsockopt(device, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), "SO_BINDTODEVICE");
	struct sockaddr_storage any;
	socklen_t length = address(&any, "0.0.0.0", 5304);
	check(bind(device, (void *)&any, length), "bind");
	bound(SOCK_DGRAM, PROTOCOL_UDPLITE, "127.0.0.1", 5305);
	bound(SOCK_DGRAM, PROTOCOL_UDPLITE, "::1", 5306);

	check(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "raw");
	check(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "raw");
	connected(SOCK_RAW, 89, "127.0.0.1", 0);
	bound(SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.1", 77);
	bound(SOCK_DGRAM, IPPROTO_ICMPV6, "::1", 78);

	int mptcp = listener(PROTOCOL_MPTCP, "127.0.0.1", 8084, 0);
	if (mptcp >= 0) {
		connected(SOCK_STREAM, PROTOCOL_MPTCP, "127.0.0.1", 8084);
		check(accept(mptcp, NULL, NULL), "accept");
	}
}

static unsigned short sum(const void *data, size_t length, unsigned int start)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < length; i += 2)
		start += bytes[i] | bytes[i + 1] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return ~start;
}

/* A SYN from a neighbour that does not exist, so that the answer to it is never acknowledged. */
static void half_open(const char *own, int port)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) packet = { 0 };
	struct {
		unsigned int from, to;
		unsigned char zero, protocol;
		unsigned short length;
	} __attribute__((packed)) pseudo = { 0 };
	struct sockaddr_in to = { .sin_family = AF_INET };
	int one = 1;
	inet_pton(AF_INET, own, &to.sin_addr);
	packet.ip.version = 4;
	packet.ip.ihl = 5;
	packet.ip.ttl = 64;
	packet.ip.protocol = IPPROTO_TCP;
	packet.ip.tot_len = htons(sizeof packet);
	packet.ip.daddr = to.sin_addr.s_addr;
	packet.ip.saddr = htonl(ntohl(to.sin_addr.s_addr) + 49);
	packet.tcp.source = htons(4444);
	packet.tcp.dest = htons(port);
	packet.tcp.seq = htonl(1);
	packet.tcp.doff = 5;
	packet.tcp.syn = 1;
	packet.tcp.window = htons(1024);
	pseudo.from = packet.ip.saddr;
	pseudo.to = packet.ip.daddr;
	pseudo.protocol = IPPROTO_TCP;
	pseudo.length = htons(sizeof packet.tcp);
	unsigned short partial = ~sum(&pseudo, sizeof pseudo, 0);
	packet.tcp.check = sum(&packet.tcp, sizeof packet.tcp, partial);
	int fd = check(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "raw");
	check(setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &one, sizeof one), "IP_HDRINCL");
	check(sendto(fd, &packet, sizeof packet, 0, (void *)&to, sizeof to), "sendto");
	close(fd);
}

static void silent_sockets(const char *own)
{
	struct sockaddr_storage to;
	struct in_addr neighbour;
	inet_pton(AF_INET, own, &neighbour);
	neighbour.s_addr = htonl(ntohl(neighbour.s_addr) + 76);
	socklen_t length = address(&to, inet_ntoa(neighbour), 81);
	int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	if (connect(fd, (void *)&to, length) == 0 || errno != EINPROGRESS)
		check(-1, "connect to nobody");
	half_open(own, 2222);
}

static int unix_bound(int type, const char *name, size_t length)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	memcpy(to.sun_path, name, length);
	int fd = check(socket(AF_UNIX, type, 0), "unix");
	check(bind(fd, (void *)&to, offsetof(struct sockaddr_un, sun_path) + length), "unix bind");
	if (type != SOCK_DGRAM)
		check(listen(fd, 3), "listen");
	return fd;
}

static int unix_connected(int type, const char *name, size_t length)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	memcpy(to.sun_path, name, length);
	int fd = check(socket(AF_UNIX, type, 0), "unix");
	check(connect(fd, (void *)&to, offsetof(struct sockaddr_un, sun_path) + length), "unix connect");
	return fd;
}

static void unix_sockets(const char *folder)
{
	const char abstract[] = "\0zoo-abstract";
	int pair[2];
	char path[2][100];
	snprintf(path[0], sizeof path[0], "%s/zoo.stream", folder);
	snprintf(path[1], sizeof path[1], "%s/zoo.seqpacket", folder);
	int stream = unix_bound(SOCK_STREAM, path[0], strlen(path[0]) + 1);
	unix_connected(SOCK_STREAM, path[0], strlen(path[0]) + 1);
	check(accept(stream, NULL, NULL), "accept");
	/* In the backlog, accepted by nobody. */
	unix_connected(SOCK_STREAM, path[0], strlen(path[0]) + 1);
	unix_bound(SOCK_SEQPACKET, path[1], strlen(path[1]) + 1);
	unix_bound(SOCK_STREAM, abstract, sizeof abstract - 1);
	int automatic = check(socket(AF_UNIX, SOCK_DGRAM, 0), "unix");
	struct sockaddr_un none = { .sun_family = AF_UNIX };
	check(bind(automatic, (void *)&none, sizeof none.sun_family), "autobind");
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
}

/* A listener that lies in another socket's queue: no process has a descriptor of it. */
static void in_flight(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec one = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int pair[2], passed = listener(0, "127.0.0.1", 8090, 0);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof passed);
	memcpy(CMSG_DATA(header), &passed, sizeof passed);
	check(sendmsg(pair[0], &message, 0), "sendmsg");
	close(passed);
}

static void packet_sockets(void)
{
	/* Accept what has the magic 0x7255 at offset 4 of its payload: a door that waits for a knock. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 46),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x7255, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = check(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), "packet");
	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), "filter");
	to.sll_ifindex = if_nametoindex("lo");
	check(bind(fd, (void *)&to, sizeof to), "packet bind");
	check(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), "packet");
}

static void netlink_socket(int protocol, unsigned int groups)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = check(socket(AF_NETLINK, SOCK_RAW, protocol), "netlink");
	check(bind(fd, (void *)&to, sizeof to), "netlink bind");
}

/* r0 = XDP_PASS; exit */
static void xdp(const char *device)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { 0 }, link = { 0 };
	load.prog_type = BPF_PROG_TYPE_XDP;
	load.insn_cnt = sizeof code / sizeof *code;
	load.insns = (unsigned long)code;
	load.license = (unsigned long)"GPL";
	strcpy(load.prog_name, "zoo_pass");
	load.expected_attach_type = BPF_XDP;
	link.link_create.prog_fd = check(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load), "load");
	link.link_create.target_ifindex = if_nametoindex(device);
	link.link_create.attach_type = BPF_XDP;
	link.link_create.flags = XDP_FLAGS_SKB_MODE;
	check(syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link), "attach");
}

static void vsock(void)
{
	struct sockaddr_vm any = { .svm_family = AF_VSOCK, .svm_port = 1234, .svm_cid = VMADDR_CID_ANY };
	struct sockaddr_vm own = { .svm_family = AF_VSOCK, .svm_port = 1234, .svm_cid = VMADDR_CID_LOCAL };
	int server = check(socket(AF_VSOCK, SOCK_STREAM, 0), "vsock");
	int client = check(socket(AF_VSOCK, SOCK_STREAM, 0), "vsock");
	check(socket(AF_VSOCK, SOCK_STREAM, 0), "vsock");
	check(bind(server, (void *)&any, sizeof any), "vsock bind");
	check(listen(server, 4), "vsock listen");
	check(connect(client, (void *)&own, sizeof own), "vsock connect");
	check(accept(server, NULL, NULL), "vsock accept");
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void churn(void)
{
	struct linger at_once = { .l_onoff = 1 };
	int server = listener(0, "127.0.0.1", 9090, 0);
	ready();
	for (int round = 0;; round++) {
		int client = connected(SOCK_STREAM, 0, "127.0.0.1", 9090);
		int peer = check(accept(server, NULL, NULL), "accept");
		int datagram = bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
		int local = check(socket(AF_UNIX, SOCK_STREAM, 0), "unix");
		/* Some leave through TIME-WAIT, most vanish, so that ports do not run out. */
		if (round % 64 != 0)
			setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(client);
		close(peer);
		close(datagram);
		close(local);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "churn") == 0)
		churn();
	if (strcmp(argv[1], "xdp") == 0) {
		xdp(argv[2]);
	} else if (strcmp(argv[1], "vsock") == 0) {
		vsock();
	} else {
		inet_sockets();
		unix_sockets(argv[1]);
		in_flight();
		packet_sockets();
		netlink_socket(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
		netlink_socket(NETLINK_KOBJECT_UEVENT, 1);
		netlink_socket(NETLINK_GENERIC, 0);
		if (argc > 2)
			silent_sockets(argv[2]);
	}
	ready();
	for (;;)
		pause();
}
