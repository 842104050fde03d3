/* eBPF programs, maps and links, each kept alive in another way: descriptor, pin, attachment. */
#include "scenario.h"
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* `return value;` */
#define RETURN(value)                                                                   \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (value) }, \
	{ .code = BPF_JMP | BPF_EXIT }

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int map(int type, const char *name, int key, int value, int entries)
{
	union bpf_attr attr = { .map_type = type, .key_size = key, .value_size = value,
				.max_entries = entries };

	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return must(bpf(BPF_MAP_CREATE, &attr), name);
}

static int program(int type, int attach, const char *name, int result)
{
	struct bpf_insn code[] = { RETURN(result) };
	union bpf_attr attr = { .prog_type = type, .expected_attach_type = attach,
				.insns = (uintptr_t)code, .insn_cnt = 2,
				.license = (uintptr_t)"GPL" };

	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	return must(bpf(BPF_PROG_LOAD, &attr), name);
}

static void pin(int fd, const char *path)
{
	union bpf_attr attr = { .bpf_fd = fd, .pathname = (uintptr_t)path };

	must(bpf(BPF_OBJ_PIN, &attr), path);
}

static int attach(int fd, int target, int type)
{
	union bpf_attr attr = { .link_create = { .prog_fd = fd, .target_fd = target,
						 .attach_type = type } };

	return must(bpf(BPF_LINK_CREATE, &attr), "link");
}

static void bpf_maps(void)
{
	uint32_t key = 1;
	uint64_t value = 0x1122334455667788;
	int array = map(BPF_MAP_TYPE_ARRAY, "pop_array", 4, 8, 16);
	union bpf_attr update = { .map_fd = array, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	must(bpf(BPF_MAP_UPDATE_ELEM, &update), "update");
	map(BPF_MAP_TYPE_HASH, "pop_hash", 16, 32, 100);
	map(BPF_MAP_TYPE_PERCPU_ARRAY, "pop_percpu", 4, 8, 3);
	map(BPF_MAP_TYPE_LRU_HASH, "pop_lru", 4, 4, 64);
	map(BPF_MAP_TYPE_RINGBUF, "pop_ring", 0, 0, 4096);
	map(BPF_MAP_TYPE_PROG_ARRAY, "pop_progs", 4, 4, 4);
	ready();
}

/* Nothing but the file system keeps these. */
static void bpf_pinned(void)
{
	pin(map(BPF_MAP_TYPE_ARRAY, "pop_pinned_map", 4, 4, 1), "/sys/fs/bpf/pop_map");
	pin(program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "pop_pinned", 0), "/sys/fs/bpf/pop_prog");
	tell_ready();
	_exit(0);
}

static void bpf_socket_filter(void)
{
	int fd = program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "pop_socket", -1);
	int on = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	must(setsockopt(on, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)), "SO_ATTACH_BPF");
	close(fd);
	ready();
}

static void bpf_links(void)
{
	int cgroup = must(open("/sys/fs/cgroup", O_RDONLY), "cgroup");
	int egress = program(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, "pop_egress", 1);
	int xdp = program(BPF_PROG_TYPE_XDP, BPF_XDP, "pop_xdp", 2 /* XDP_PASS */);

	attach(egress, cgroup, BPF_CGROUP_INET_EGRESS);
	pin(attach(xdp, if_nametoindex("lo"), BPF_XDP), "/sys/fs/bpf/pop_link");
	ready();
}

static void bpf_tracepoint(void)
{
	int fd = program(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, "pop_trace", 0);
	union bpf_attr attr = { .raw_tracepoint = { .name = (uintptr_t)"sched_process_exit",
						    .prog_fd = fd } };

	must(bpf(BPF_RAW_TRACEPOINT_OPEN, &attr), "raw tracepoint");
	ready();
}

int main(void)
{
	/* Maps and programs counted as locked memory until 5.11. */
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	must(setrlimit(RLIMIT_MEMLOCK, &unlimited), "setrlimit");
	scenario("bpf_maps", bpf_maps);
	scenario("bpf_pinned", bpf_pinned);
	scenario("bpf_socket_filter", bpf_socket_filter);
	scenario("bpf_links", bpf_links);
	scenario("bpf_tracepoint", bpf_tracepoint);
	return 0;
}
