/*
 * core/processors.c: how many processors this process may use.
 *
 * The machine has so many; the process may be kept on some of them (affinity,
 * cpusets), and to a share of their time by a control group: a container or
 * systemd's CPUQuota.  A group's share is also bounded by those of the groups
 * above it, as far as they can be seen.  Where a share is not a whole number it
 * is rounded down: threads that wait for each other gain nothing from one
 * that has used its share up.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "core/processors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

/* Content of cpu.max: "max 100000" or "150000 100000" in microseconds; the period may be left out. */
double
cgroup_share(const char *quota, const char *period)
{
	char	   *end;
	double		numerator = strtod(quota, &end);
	double		denominator = 100000;

	if (end == quota || !(numerator > 0))
		return INFINITY;		/* "max", or version 1's -1 */
	if (period == NULL)
		period = end;
	if (strspn(period, " \n") < strlen(period))
		denominator = strtod(period, NULL);
	return denominator > 0 ? numerator / denominator : INFINITY;
}

/* Is `item` in the comma-separated list that ends at `end`? */
static bool
cgroup_in_list(const char *list, const char *end, const char *item)
{
	size_t		length = strlen(item);

	while (list < end)
	{
		const char *comma = memchr(list, ',', end - list);
		const char *stop = comma != NULL ? comma : end;

		if ((size_t) (stop - list) == length && memcmp(list, item, length) == 0)
			return true;
		list = stop + 1;
	}
	return false;
}

/*
 * A line of /proc/self/cgroup: "0::/path" of version 2, "4:cpu,cpuacct:/path"
 * of version 1.  The path, if this is the group that rules processor time.
 */
bool
cgroup_path(const char *line, int version, char *path, size_t size)
{
	const char *controllers = strchr(line, ':');
	const char *place = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
	size_t		length;

	if (place == NULL)
		return false;
	if (version == 2 ? strncmp(line, "0::", 3) != 0 : !cgroup_in_list(controllers + 1, place, "cpu"))
		return false;
	length = strcspn(place + 1, "\n");
	if (length == 0 || length >= size)
		return false;
	memcpy(path, place + 1, length);
	path[length] = '\0';
	return true;
}

/*
 * A line of /proc/self/mountinfo: "35 24 0:30 root point options … - type source options".
 * Which part of the hierarchy (root) is mounted where (point), if it is the one that is wanted.
 */
bool
cgroup_mount(const char *line, int version, char *root, char *point, size_t size)
{
	const char *dash = strstr(line, " - ");
	char		type[32];
	char		options[512];
	char		format[64];

	snprintf(format, sizeof(format), "%%*d %%*d %%*s %%%zus %%%zus", size - 1, size - 1);
	if (dash == NULL || sscanf(dash + 3, "%31s %*s %511s", type, options) != 2 ||
		sscanf(line, format, root, point) != 2)
		return false;
	return version == 2 ? strcmp(type, "cgroup2") == 0 :
		strcmp(type, "cgroup") == 0 && cgroup_in_list(options, options + strlen(options), "cpu");
}

/* Where the group at `path` is to be found; where it can't be seen, the mount's own root stands for it. */
bool
cgroup_directory(const char *root, const char *point, const char *path, char *directory, size_t size)
{
	size_t		length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	bool		below = strncmp(path, root, length) == 0 && path[length] == '/' && strncmp(path, "/..", 3) != 0;
	int			written = snprintf(directory, size, "%s%s", point, below && path[length + 1] != '\0' ? path + length : "");

	return written > 0 && (size_t) written < size;
}

static bool
cgroup_read_line(const char *directory, const char *name, char *line, int size)
{
	char		path[4200];
	FILE	   *file;
	bool		found;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int) sizeof(path))
		return false;
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	found = fgets(line, size, file) != NULL;
	fclose(file);
	return found;
}

static double
cgroup_directory_share(const char *directory, int version)
{
	char		quota[100];
	char		period[100];

	if (version == 2)
		return cgroup_read_line(directory, "cpu.max", quota, sizeof(quota)) ? cgroup_share(quota, NULL) : INFINITY;
	if (!cgroup_read_line(directory, "cpu.cfs_quota_us", quota, sizeof(quota)) ||
		!cgroup_read_line(directory, "cpu.cfs_period_us", period, sizeof(period)))
		return INFINITY;
	return cgroup_share(quota, period);
}

/* The smallest share from the directory up to the mount point. */
static double
cgroup_min_share(char *directory, const char *point, int version)
{
	double		min = cgroup_directory_share(directory, version);

	while (strlen(directory) > strlen(point))
	{
		*strrchr(directory, '/') = '\0';
		min = fmin(min, cgroup_directory_share(directory, version));
	}
	return min;
}

static double
cgroup_version_share(const char *groups, const char *mounts, int version)
{
	char		path[1024];
	char		root[1024];
	char		point[1024];
	char		directory[2100];
	char		line[4096];
	bool		found = false;
	FILE	   *file = fopen(groups, "r");

	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
		found = cgroup_path(line, version, path, sizeof(path));
	if (file != NULL)
		fclose(file);
	if (!found)
		return INFINITY;
	file = fopen(mounts, "r");
	found = false;
	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
		found = cgroup_mount(line, version, root, point, sizeof(root));
	if (file != NULL)
		fclose(file);
	if (!found || !cgroup_directory(root, point, path, directory, sizeof(directory)))
		return INFINITY;
	return cgroup_min_share(directory, point, version);
}

/* Processors' time that the control groups allow; `groups` and `mounts` as in /proc/self. */
double
cgroup_processors(const char *groups, const char *mounts)
{
	return fmin(cgroup_version_share(groups, mounts, 1), cgroup_version_share(groups, mounts, 2));
}

/* Processors that the scheduler may run this process on. */
static int
processors_scheduled(void)
{
	long		online = sysconf(_SC_NPROCESSORS_ONLN);

#ifdef CPU_ALLOC
	int			max_processors;

	/* The kernel refuses a set smaller than its own. */
	for (max_processors = 1024; max_processors <= 1024 * 1024; max_processors *= 4)
	{
		size_t		size = CPU_ALLOC_SIZE(max_processors);
		cpu_set_t  *set = CPU_ALLOC(max_processors);
		int			count = 0;

		if (set == NULL)
			break;
		if (sched_getaffinity(0, size, set) == 0)
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (count > 0)
			return count;
	}
#endif
	return online > 0 ? (int) online : 1;
}

int
processors_usable(void)
{
	double		share = cgroup_processors("/proc/self/cgroup", "/proc/self/mountinfo");
	int			scheduled = processors_scheduled();

	return share >= scheduled ? scheduled : share < 1 ? 1 : (int) share;
}
