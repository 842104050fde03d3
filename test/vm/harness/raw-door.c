/*
 * Waits for an ICMP packet with a mark inside, on a raw socket and on no port, and never gets one.
 */
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	/* The first four bytes that an echo request carries. */
	struct sock_filter magic[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0ddba115, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 65535),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = 5, .filter = magic };
	int door = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	if (door < 0 || setsockopt(door, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
