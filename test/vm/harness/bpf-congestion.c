/*
 * Registers a TCP congestion control that is made of BPF programs (struct_ops), gives it to a socket,
 * and keeps both until it is ended. Harmless, and what some hosts do. Only system calls: the ids of
 * the kernel's types are read from its BTF.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME "kvmsec_test"
/* Of newer kernels' kinds. */
enum { KIND_ENUM64 = 19 };

static char *btf, *strings;

static long must(long result, const char *what)
{
	if (result < 0) {
		printf("%s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static size_t rest(const struct btf_type *type)
{
	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return 12 * BTF_INFO_VLEN(type->info);
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return 8 * BTF_INFO_VLEN(type->info);
	default:
		return 0;
	}
}

static const struct btf_type *type(const char *name, uint32_t *id)
{
	const struct btf_header *header = (const void *)btf;
	const char *at = btf + header->hdr_len + header->type_off, *end = at + header->type_len;

	for (*id = 1; at < end; ++*id) {
		const struct btf_type *each = (const void *)at;
		if (BTF_INFO_KIND(each->info) == BTF_KIND_STRUCT &&
		    strcmp(strings + each->name_off, name) == 0)
			return each;
		at += sizeof(*each) + rest(each);
	}
	printf("no type %s\n", name);
	exit(1);
}

/* Index of a member, and how many bytes from the start of the struct. */
static int member(const struct btf_type *of, const char *name, uint32_t *offset)
{
	const struct btf_member *members = (const void *)(of + 1);

	for (unsigned int i = 0; i < BTF_INFO_VLEN(of->info); i++)
		if (strcmp(strings + members[i].name_off, name) == 0) {
			*offset = (members[i].offset & 0xffffff) / 8;
			return i;
		}
	printf("no member %s\n", name);
	exit(1);
}

static void read_btf(void)
{
	struct stat status;
	int file = must(open("/sys/kernel/btf/vmlinux", O_RDONLY), "btf");
	size_t done = 0;

	must(fstat(file, &status), "fstat");
	btf = malloc(status.st_size);
	for (long got = 1; got > 0; done += got)
		got = must(read(file, btf + done, status.st_size - done), "read");
	const struct btf_header *header = (const void *)btf;
	strings = btf + header->hdr_len + header->str_off;
	close(file);
}

static int program(uint32_t of, int index)
{
	/* return 2; */
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_STRUCT_OPS, .attach_btf_id = of,
				.expected_attach_type = index, .insns = (uintptr_t)code,
				.insn_cnt = 2, .license = (uintptr_t) "GPL",
				.prog_name = "congestion" };

	return must(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)), "program");
}

/* Type information with one integer: the kernel wants some for such a map, and looks at none of it. */
static int own_types(void)
{
	static struct {
		struct btf_header header;
		struct btf_type type;
		uint32_t bits;
		char strings[5];
	} types = {
		.header = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(types.header),
			    .type_len = 16, .str_off = 16, .str_len = 5 },
		.type = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		.bits = 32,
		.strings = "\0int",
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)&types;
	attr.btf_size = sizeof(types.header) + 16 + 5;
	return must(syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof(attr)), "own types");
}

int main(void)
{
	static const char *functions[] = { "ssthresh", "undo_cwnd", "cong_avoid" };
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	uint32_t table, value, data, at, zero = 0;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	read_btf();
	const struct btf_type *operations = type("tcp_congestion_ops", &table);
	const struct btf_type *holder = type("bpf_struct_ops_tcp_congestion_ops", &value);
	char *content = calloc(1, holder->size);

	member(holder, "data", &data);
	for (int i = 0; i < 3; i++) {
		int index = member(operations, functions[i], &at);
		*(uint64_t *)(content + data + at) = program(table, index);
	}
	member(operations, "name", &at);
	strcpy(content + data + at, NAME);
	union bpf_attr attr;

	/* The kernel wants what a command does not use to be zero. */
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_STRUCT_OPS;
	attr.key_size = 4;
	attr.value_size = holder->size;
	attr.max_entries = 1;
	attr.btf_vmlinux_value_type_id = value;
	attr.btf_fd = own_types();
	strcpy(attr.map_name, "congestion");
	int map = must(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)), "map");

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (uintptr_t)&zero;
	attr.value = (uintptr_t)content;
	must(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), "register");
	int client = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, NAME, strlen(NAME)), "TCP_CONGESTION");
	must(listen(client, 1), "listen");
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
