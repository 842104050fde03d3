/*
 * Adds (`add`) or takes away (`del`) three audit rules, as auditctl would: one for a system call, one
 * that watches a path, and one for user messages, which the kernel does not count.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_rule(int fd, int type, const struct audit_rule_data *rule, const char *text)
{
	struct {
		struct nlmsghdr header;
		char data[sizeof(*rule) + 256];
	} message = { .header = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };
	struct { struct nlmsghdr header; struct nlmsgerr error; char rest[4096]; } answer;
	size_t length = strlen(text);

	memcpy(message.data, rule, sizeof(*rule));
	memcpy(message.data + sizeof(*rule), text, length);
	message.header.nlmsg_len = NLMSG_LENGTH(sizeof(*rule) + length);
	if (send(fd, &message, message.header.nlmsg_len, 0) < 0)
		return -1;
	if (recv(fd, &answer, sizeof(answer), 0) < 0 || answer.header.nlmsg_type != NLMSG_ERROR)
		return -1;
	return answer.error.error;
}

int main(int argc, char **argv)
{
	int type = argc > 1 && strcmp(argv[1], "del") == 0 ? AUDIT_DEL_RULE : AUDIT_ADD_RULE;
	struct audit_rule_data call = { .flags = AUDIT_FILTER_EXIT, .action = AUDIT_ALWAYS };
	struct audit_rule_data watch = { .flags = AUDIT_FILTER_EXIT, .action = AUDIT_ALWAYS,
					 .field_count = 1 };
	struct audit_rule_data user = { .flags = AUDIT_FILTER_USER, .action = AUDIT_ALWAYS };
	const char *path = "/etc/passwd";
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
	int failed;

	call.mask[AUDIT_WORD(85)] = AUDIT_BIT(85);
	memset(watch.mask, 0xff, sizeof(watch.mask));
	watch.fields[0] = AUDIT_WATCH;
	watch.fieldflags[0] = AUDIT_EQUAL;
	watch.values[0] = watch.buflen = strlen(path);
	failed = send_rule(fd, type, &call, "") || send_rule(fd, type, &watch, path) ||
		 send_rule(fd, type, &user, "");
	puts(failed ? "failed" : "done");
	return failed;
}
