/*
 * Prints what /proc says of every process: `proc-dump FILE…` with names below /proc/PID, of which
 * `fd/`, `fdinfo/`, `ns/`, `task/` mean all that is in there (`task/` the stat of each thread).
 * Each file is "PATH LENGTH\n", its bytes or where the link leads, "\n". Itself it leaves out.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char *path)
{
	static char *bytes;
	static size_t room = 1 << 16;
	struct stat status;
	ssize_t length = 0;

	if (bytes == NULL)
		bytes = malloc(room);
	if (lstat(path, &status) != 0)
		return;
	if (S_ISLNK(status.st_mode)) {
		length = readlink(path, bytes, room);
		if (length < 0)
			return;
	} else {
		int fd = open(path, O_RDONLY);
		ssize_t got;
		if (fd < 0)
			return;
		while ((got = read(fd, bytes + length, room - length)) > 0) {
			length += got;
			if ((size_t)length == room)
				bytes = realloc(bytes, room *= 2);
		}
		close(fd);
		if (got < 0)
			return;
	}
	printf("%s %zd\n", path + 6, length);
	fwrite(bytes, 1, length, stdout);
	putchar('\n');
}

static void show_all(const char *folder, const char *suffix)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[1200];

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s%s%s", folder, entry->d_name, suffix);
		show(path);
	}
	if (dir != NULL)
		closedir(dir);
}

int main(int argc, char **argv)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[600];

	while ((entry = readdir(proc)) != NULL) {
		if (!isdigit(entry->d_name[0]) || atoi(entry->d_name) == getpid())
			continue;
		for (int i = 1; i < argc; i++) {
			snprintf(path, sizeof(path), "/proc/%s/%s", entry->d_name, argv[i]);
			if (argv[i][strlen(argv[i]) - 1] == '/')
				show_all(path, strcmp(argv[i], "task/") == 0 ? "/stat" : "");
			else
				show(path);
		}
	}
	return 0;
}
