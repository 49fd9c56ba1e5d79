/*
 * test_threads.c: threads of our own: all parts are worked on, and what cannot
 * be had, or does not get ready, is never waited for by the work.
 */
#include "core_test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

static int	reserved;			/* started one after the other, so no lock */
static int	allowed;			/* how many more prepare() lets through */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static bool
prepare(size_t stack)
{
	return stack >= 1024 * 1024 && allowed-- > 0;
}

static void
reserve(void)
{
	reserved++;
}

static void
reserve_late(void)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

typedef struct Board
{
	int			times[16];
	pthread_t	by[16];
} Board;

static void
mark(void *argument, int part)
{
	Board	   *board = argument;

	board->times[part]++;
	board->by[part] = pthread_self();
}

/* Each part once a run, each by another thread. */
static bool
all_work(int parts)
{
	Board		board = {{0}, {0}};
	int			runs = 200;
	int			i;
	int			j;

	for (i = 0; i < runs; i++)
		threads_run(parts, mark, &board);
	for (i = 0; i < parts; i++)
	{
		if (board.times[i] != runs)
			return false;
		for (j = 0; j < i; j++)
			if (pthread_equal(board.by[i], board.by[j]))
				return false;
	}
	return pthread_equal(board.by[0], pthread_self()) && board.times[parts] == 0;
}

/* Threads of this process; 0 where there is no /proc. */
static int
tasks(void)
{
	DIR		   *folder = opendir("/proc/self/task");
	struct dirent *entry;
	int			count = 0;

	if (folder == NULL)
		return 0;
	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

int
main(int argc, char **argv)
{
	int			error;
	int			got;
	int			before = tasks();

	check(threads_start(1, NULL, NULL, &error) == 1 && error == 0 && all_work(1), "the caller alone");
	allowed = 100;
	got = threads_start(4, prepare, reserve, &error);
	check(got == 4 && error == 0 && reserved == 3, "four threads, each has reserved");
	check(all_work(4) && all_work(2) && all_work(1), "all or some of them at work");
	check(threads_start(2, prepare, reserve, &error) == 2 && all_work(2), "two are sent away");
	check(before == 0 || tasks() == before + 1, "and are gone");

	allowed = 2;
	got = threads_start(9, prepare, reserve, &error);
	check(got == 4 && error == ENOMEM && reserved == 5, "refused: %d threads, %s", got, strerror(error));
	check(all_work(4), "which work");
	allowed = 1;
	got = threads_start(9, prepare, reserve, &error);
	check(got == 5 && error == ENOMEM && all_work(5), "asked again: one more");

	/* One that hangs in what it does first, as OpenBLAS does when it gets no memory. */
	allowed = 100;
	pthread_mutex_lock(&gate);
	got = threads_start(7, prepare, reserve_late, &error);
	check(got == 5 && error == ETIMEDOUT, "one is not ready: %d threads, %s", got, strerror(error));
	check(all_work(5), "the others work");
	check(threads_start(3, prepare, reserve, &error) == 3 && error == 0 && all_work(3), "fewer, while it is still not ready");
	pthread_mutex_unlock(&gate);
	got = threads_start(7, prepare, reserve, &error);
	check(got == 7 && error == 0 && all_work(7), "ready at last, it belongs to them");
	check(threads_start(-3, prepare, reserve, &error) == 1 && all_work(1), "none left but the caller");
	check(before == 0 || tasks() == before, "and none in the process");
	return finish("test_threads");
}
