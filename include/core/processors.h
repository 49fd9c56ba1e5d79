/*
 * core/processors.h: how many processors there are to use.  Numeric core.
 */
#ifndef PROCESSORS_H
#define PROCESSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * core/processors.c: processors that this process may use, by affinity and
 * control groups; below, what it is put together from.
 */
extern int	processors_usable(void);
extern double cgroup_processors(const char *groups, const char *mounts);
extern double cgroup_share(const char *quota, const char *period);
extern bool cgroup_path(const char *line, int version, char *path, size_t size);
extern bool cgroup_mount(const char *line, int version, char *root, char *point, size_t size);
extern bool cgroup_directory(const char *root, const char *point, const char *path, char *directory, size_t size);

#endif							/* PROCESSORS_H */
