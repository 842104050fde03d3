/*
 * Puts one BPF object of each kind that the running kernel knows into it, prints one line for
 * each, and keeps them until it is ended. Only system calls: no BPF library, no compiler.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Headers older than the kernels under test lack the newest of these. */
enum { LINK_ATTACH_TCX_INGRESS = 46, LINK_ATTACH_NETFILTER = 45, LINK_ATTACH_KPROBE_MULTI = 42 };
enum { PROG_TYPE_NETFILTER = 32, PROG_TYPE_SK_LOOKUP = 30 };

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int said(const char *what, int fd)
{
	printf("%s %s\n", what, fd < 0 ? strerror(errno) : "made");
	return fd;
}

static int map(const char *name, int type, int key, int value, int entries)
{
	union bpf_attr attr = { .map_type = type, .key_size = key, .value_size = value,
				.max_entries = entries };
	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return said(name, bpf(BPF_MAP_CREATE, &attr));
}

static int load(const char *name, int type, int attach, uint32_t btf_id, const struct bpf_insn *code,
		int length)
{
	union bpf_attr attr = { .prog_type = type, .expected_attach_type = attach,
				.attach_btf_id = btf_id, .insns = (uintptr_t)code, .insn_cnt = length,
				.license = (uintptr_t) "GPL" };
	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	return said(name, bpf(BPF_PROG_LOAD, &attr));
}

/* return VALUE; */
static int returning(const char *name, int type, int attach, uint32_t btf_id, int value)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	return load(name, type, attach, btf_id, code, 2);
}

/* r1 = MAP; return VALUE; which makes the program hold the map. */
static int using(const char *name, int type, int held, int value)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = held },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	return load(name, type, 0, 0, code, 4);
}

static void attach(const char *what, int prog, int target, int type)
{
	union bpf_attr attr = { .link_create = { .prog_fd = prog, .target_fd = target,
						 .attach_type = type } };
	said(what, bpf(BPF_LINK_CREATE, &attr));
}

static void attach_netfilter(int prog)
{
	/* .netfilter = { pf, hooknum, priority, flags } begins where target_btf_id does. */
	union bpf_attr attr = { .link_create = { .prog_fd = prog,
						 .attach_type = LINK_ATTACH_NETFILTER } };
	uint32_t *filter = (uint32_t *)((char *)&attr + 16);
	filter[0] = 2, filter[1] = 1, filter[2] = -128;
	said("netfilter-link", bpf(BPF_LINK_CREATE, &attr));
}

static void attach_kprobe_multi(int prog)
{
	static const char *functions[] = { "do_nanosleep" };
	union bpf_attr attr = { .link_create = { .prog_fd = prog,
						 .attach_type = LINK_ATTACH_KPROBE_MULTI } };
	/* .kprobe_multi = { flags, cnt, syms, addrs, cookies } */
	uint32_t *words = (uint32_t *)((char *)&attr + 16);
	words[1] = 1;
	*(uint64_t *)(words + 2) = (uintptr_t)functions;
	said("kprobe-multi-link", bpf(BPF_LINK_CREATE, &attr));
}

static void attach_raw(const char *what, int prog, const char *tracepoint)
{
	union bpf_attr attr = { .raw_tracepoint = { .prog_fd = prog,
						    .name = (uintptr_t)tracepoint } };
	said(what, bpf(BPF_RAW_TRACEPOINT_OPEN, &attr));
}

static int tracepoint(const char *name)
{
	char path[256], text[32] = "";
	snprintf(path, sizeof(path), "/sys/kernel/tracing/events/%s/id", name);
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return -1;
	close(fd);
	struct perf_event_attr event = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(event),
					 .config = atoi(text), .sample_period = 1 };
	return syscall(SYS_perf_event_open, &event, -1, 0, -1, 0);
}

/* Id of a function in the kernel's BTF (include/uapi/linux/btf.h), or 0. */
static uint32_t function_id(const char *name)
{
	static const unsigned char fixed[] = { 0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0 };
	static const unsigned char each[] = { 0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12 };
	struct stat at;
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
	if (fd < 0 || fstat(fd, &at) < 0)
		return 0;
	char *all = malloc(at.st_size), *to = all;
	for (ssize_t got; (got = read(fd, to, all + at.st_size - to)) > 0;)
		to += got;
	close(fd);
	uint32_t *header = (uint32_t *)all, id = 0;
	const char *names = all + header[1] + header[4];
	char *end = all + header[1] + header[2] + header[3];
	for (char *type = all + header[1] + header[2]; type < end;) {
		uint32_t *words = (uint32_t *)type, kind = words[1] >> 24 & 0x1f;
		id++;
		if (kind == 12 && strcmp(names + words[0], name) == 0)
			return id;
		if (kind >= sizeof(fixed))
			return 0;
		type += 12 + fixed[kind] + (words[1] & 0xffff) * each[kind];
	}
	return 0;
}

int main(void)
{
	/* Before 5.11 BPF memory counts as locked memory. */
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	setrlimit(RLIMIT_MEMLOCK, &unlimited);

	int hash = map("table", BPF_MAP_TYPE_HASH, 4, 8, 128);
	map("numbers", BPF_MAP_TYPE_ARRAY, 4, 16, 4);
	map("counters", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2);
	map("ring", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
	map("progs", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8);

	using("filter", BPF_PROG_TYPE_SOCKET_FILTER, hash, 0);
	int group = open("/sys/fs/cgroup", O_RDONLY);
	attach("cgroup-link", returning("ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, 0, 1),
	       group, BPF_CGROUP_INET_INGRESS);
	/* Index 1 is lo. */
	attach("xdp-link", returning("pass", BPF_PROG_TYPE_XDP, BPF_XDP, 0, XDP_PASS), 1, BPF_XDP);
	attach("tcx-link", returning("classify", BPF_PROG_TYPE_SCHED_CLS, 0, 0, -1), 1,
	       LINK_ATTACH_TCX_INGRESS);
	int net = open("/proc/self/ns/net", O_RDONLY);
	attach("netns-link", returning("lookup", PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, 0, 1), net,
	       BPF_SK_LOOKUP);
	attach_raw("raw-link", using("enter", BPF_PROG_TYPE_RAW_TRACEPOINT, hash, 0), "sys_enter");
	attach_raw("tracing-link",
		   returning("entry", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,
			     function_id("do_nanosleep"), 0),
		   NULL);
	attach("perf-link", returning("point", BPF_PROG_TYPE_TRACEPOINT, 0, 0, 0),
	       tracepoint("sched/sched_switch"), BPF_PERF_EVENT);
	attach_kprobe_multi(returning("multi", BPF_PROG_TYPE_KPROBE, LINK_ATTACH_KPROBE_MULTI, 0, 0));
	attach_netfilter(returning("accept", PROG_TYPE_NETFILTER, LINK_ATTACH_NETFILTER, 0, 1));
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
