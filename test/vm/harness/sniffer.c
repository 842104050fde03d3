/* Asks for every packet of a device, as tcpdump does, says `ready`, and waits. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct packet_mreq request = { .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	request.mr_ifindex = if_nametoindex("lo");
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) != 0)
		return 1;
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
