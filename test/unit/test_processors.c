/*
 * test_processors.c: processors from affinity and control groups, from texts
 * as Linux shows them in different environments.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "core_test.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static void
check_share(void)
{
	check(isinf(cgroup_share("max 100000\n", NULL)), "version 2 without a limit");
	check(cgroup_share("150000 100000\n", NULL) == 1.5, "version 2, one and a half");
	check(cgroup_share("50000\n", NULL) == 0.5, "version 2, the period left out");
	check(isinf(cgroup_share("-1\n", "100000\n")), "version 1 without a limit");
	check(cgroup_share("400000\n", "100000\n") == 4, "version 1, four");
	check(isinf(cgroup_share("400000\n", "0\n")), "a period of nothing");
	check(isinf(cgroup_share("", NULL)) && isinf(cgroup_share("nonsense", "100")), "neither number nor word");
}

static void
check_lines(void)
{
	char		path[64];
	char		root[64];
	char		point[64];

	check(cgroup_path("0::/system.slice/postgresql.service\n", 2, path, sizeof(path)) &&
		  strcmp(path, "/system.slice/postgresql.service") == 0, "path of version 2");
	check(!cgroup_path("4:cpu,cpuacct:/a\n", 2, path, sizeof(path)), "version 1's line is not version 2's");
	check(cgroup_path("4:cpuacct,cpu:/docker/a:b\n", 1, path, sizeof(path)) &&
		  strcmp(path, "/docker/a:b") == 0, "path of version 1, with a colon");
	check(!cgroup_path("3:cpuset,cpuacct:/a\n", 1, path, sizeof(path)), "cpuset is another controller");
	check(!cgroup_path("nonsense\n", 1, path, sizeof(path)) && !cgroup_path("", 2, path, sizeof(path)) &&
		  !cgroup_path("0::\n", 2, path, sizeof(path)), "no path");
	check(!cgroup_path("0::/0123456789012345678901234567890123456789012345678901234567890123456789\n", 2, path, sizeof(path)),
		  "a path that is too long");

	check(cgroup_mount("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", 2, root, point, sizeof(root)) &&
		  strcmp(root, "/") == 0 && strcmp(point, "/sys/fs/cgroup") == 0, "mount of version 2");
	check(cgroup_mount("36 31 0:31 /docker/a /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpuacct,cpu\n", 1, root, point, sizeof(root)) &&
		  strcmp(root, "/docker/a") == 0 && strcmp(point, "/sys/fs/cgroup/cpu,cpuacct") == 0, "mount of version 1 in a container");
	check(!cgroup_mount("36 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n", 1, root, point, sizeof(root)),
		  "another controller's mount");
	check(!cgroup_mount("36 31 0:31 / /cpu rw - ext4 /dev/cpu rw,cpu\n", 1, root, point, sizeof(root)) &&
		  !cgroup_mount("nonsense - cgroup2", 2, root, point, sizeof(root)) && !cgroup_mount("", 2, root, point, sizeof(root)),
		  "other lines");
}

static void
check_directory(void)
{
	static const char *const cases[][4] = {
		{"/", "/cg", "/", "/cg"},
		{"/", "/cg", "/a/b", "/cg/a/b"},
		{"/docker/a", "/cg", "/docker/a", "/cg"},
		{"/docker/a", "/cg", "/docker/a/b", "/cg/b"},
		{"/docker/a", "/cg", "/docker/ab", "/cg"},
		{"/docker/a", "/cg", "/elsewhere", "/cg"},
		{"/", "/cg", "/../outside", "/cg"},
	};
	char		directory[64];
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(cgroup_directory(cases[i][0], cases[i][1], cases[i][2], directory, sizeof(directory)) &&
			  strcmp(directory, cases[i][3]) == 0, "%s mounted at %s, %s: %s", cases[i][0], cases[i][1], cases[i][2], directory);
	check(!cgroup_directory("/", "/cg", "/a", directory, 4), "no room");
}

static void
write_text(const char *folder, const char *name, const char *text)
{
	char		path[300];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0)
	{
		printf("FAILED: could not write %s\n", path);
		exit(1);
	}
}

/* Whole hierarchies: the least share counts, from the group up. */
static void
check_hierarchy(void)
{
	char		folder[] = "/tmp/xmhash_processors.XXXXXX";
	char		inner[200];
	char		groups[200];
	char		mounts[200];
	char		text[400];
	char		command[300];

	if (mkdtemp(folder) == NULL)
	{
		printf("FAILED: could not make %s\n", folder);
		exit(1);
	}
	snprintf(inner, sizeof(inner), "%s/outer", folder);
	mkdir(inner, 0700);
	snprintf(inner, sizeof(inner), "%s/outer/inner", folder);
	mkdir(inner, 0700);
	snprintf(groups, sizeof(groups), "%s/groups", folder);
	snprintf(mounts, sizeof(mounts), "%s/mounts", folder);
	check(isinf(cgroup_processors(groups, mounts)), "no control groups at all");

	write_text(folder, "groups", "8:pids:/\n1:name=systemd:/\n0::/outer/inner\n");
	check(isinf(cgroup_processors(groups, mounts)), "a group, but no mount");
	snprintf(text, sizeof(text), "21 1 0:2 / /proc rw - proc proc rw\n30 23 0:26 / %s rw - cgroup2 cgroup2 rw\n", folder);
	write_text(folder, "mounts", text);
	check(isinf(cgroup_processors(groups, mounts)), "the controller is not enabled");
	write_text(inner, "cpu.max", "300000 100000\n");
	check(cgroup_processors(groups, mounts) == 3, "the group's own share");
	snprintf(text, sizeof(text), "%s/outer", folder);
	write_text(text, "cpu.max", "250000 100000\n");
	check(cgroup_processors(groups, mounts) == 2.5, "the share of the group above");
	write_text(inner, "cpu.max", "max 100000\n");
	check(cgroup_processors(groups, mounts) == 2.5, "which binds those without one of their own");

	write_text(folder, "groups", "4:cpuacct,cpu:/docker/x/outer/inner\n0::/outer\n");
	snprintf(text, sizeof(text), "30 23 0:26 /docker/x %s rw - cgroup cgroup rw,cpu,cpuacct\n", folder);
	write_text(folder, "mounts", text);
	check(isinf(cgroup_processors(groups, mounts)), "version 1 without a limit");
	write_text(inner, "cpu.cfs_quota_us", "125000\n");
	write_text(inner, "cpu.cfs_period_us", "50000\n");
	check(cgroup_processors(groups, mounts) == 2.5, "version 1 in a container");

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	check(system(command) == 0, "cleaned up");
}

/* Kept on one processor, a process may use one. */
static void
check_affinity(void)
{
#ifdef CPU_SET
	cpu_set_t	before;
	cpu_set_t	one;
	int			usable = processors_usable();
	int			i = 0;

	check(usable >= 1, "%d processors here", usable);
	if (sched_getaffinity(0, sizeof(before), &before) != 0)
		return;
	check(usable <= CPU_COUNT(&before), "not more than the affinity allows");
	while (!CPU_ISSET(i, &before))
		i++;
	CPU_ZERO(&one);
	CPU_SET(i, &one);
	sched_setaffinity(0, sizeof(one), &one);
	check(processors_usable() == 1, "one by affinity");
	sched_setaffinity(0, sizeof(before), &before);
	check(processors_usable() == usable, "and all again");
#endif
}

int
main(int argc, char **argv)
{
	check_share();
	check_lines();
	check_directory();
	check_hierarchy();
	check_affinity();
	return finish("test_processors");
}
