/*
 * core/threads.c: threads of our own for matrix products.
 *
 * OpenBLAS could start threads itself, but where the system refuses one it
 * says so to nobody: openblas_set_num_threads() ignores what pthread_create()
 * returns, and the next product waits for the missing thread for ever, without
 * ever looking at a signal; its constructor raises SIGINT or exits; an OpenMP
 * build is aborted by libgomp.  Its memory is asked for in an endless loop, or
 * in one that ends in exit().  So the library is kept at one thread, which never
 * starts any, and is called from the threads here, each for a part of the
 * matrix.  A thread that cannot be had is a return value, known before the
 * first product; there is nothing that could be refused later.
 *
 * A thread's first act is to reserve what the library will want of it.  Until
 * it has said that it is ready it gets no work and nobody depends on it.
 *
 * The server's signal handlers were written for one thread, so ours run with
 * every signal blocked; the mask is inherited from who creates them.
 */
#include "core/threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The same whatever `ulimit -s` says, and enough for LAPACK with musl too, whose default is small. */
#define STACK_BYTES ((size_t) 4 * 1024 * 1024)

/* A thread that is not ready by then is left to itself. */
#define READY_SECONDS 5

typedef struct Worker
{
	pthread_t	thread;
	pthread_cond_t wake;
	ThreadReserve reserve;
	ThreadWork	work;			/* NULL: nothing to do */
	void	   *argument;
	int			part;
	bool		ready;
	bool		leave;
} Worker;

/* Everything in a worker but `reserve` is guarded by the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static Worker *workers[THREADS_MAX];
static int	created;
static int	running;			/* of the work at hand */

static void *
threads_serve(void *argument)
{
	Worker	   *self = argument;

	if (self->reserve != NULL)
		self->reserve();
	pthread_mutex_lock(&lock);
	self->ready = true;
	pthread_cond_signal(&idle);
	while (!self->leave)
	{
		if (self->work == NULL)
		{
			pthread_cond_wait(&self->wake, &lock);
			continue;
		}
		pthread_mutex_unlock(&lock);
		self->work(self->argument, self->part);
		pthread_mutex_lock(&lock);
		self->work = NULL;
		if (--running == 0)
			pthread_cond_signal(&idle);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* One thread more; 0 or an errno. */
static int
threads_create_worker(ThreadReserve reserve)
{
	Worker	   *worker = calloc(1, sizeof(Worker));
	pthread_attr_t attributes;
	int			error = ENOMEM;

	if (worker == NULL)
		return error;
	worker->reserve = reserve;
	pthread_cond_init(&worker->wake, NULL);
	if (pthread_attr_init(&attributes) == 0)
	{
		error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
		if (error == 0)
			error = pthread_create(&worker->thread, &attributes, threads_serve, worker);
		pthread_attr_destroy(&attributes);
	}
	if (error != 0)
	{
		pthread_cond_destroy(&worker->wake);
		free(worker);
		return error;
	}
	workers[created++] = worker;
	return 0;
}

static bool
threads_wait_until_ready(const Worker *worker)
{
	struct timespec end;
	int			error = 0;
	bool		ready;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += READY_SECONDS;
	pthread_mutex_lock(&lock);
	while (!worker->ready && error == 0)
		error = pthread_cond_timedwait(&idle, &lock, &end);
	ready = worker->ready;
	pthread_mutex_unlock(&lock);
	return ready;
}

/* Threads that work can be given to, besides the caller's. */
static int
threads_ready_workers(void)
{
	int			ready = 0;

	pthread_mutex_lock(&lock);
	while (ready < created && workers[ready]->ready)
		ready++;
	pthread_mutex_unlock(&lock);
	return ready;
}

static void
threads_dismiss_last(void)
{
	Worker	   *worker = workers[--created];

	pthread_mutex_lock(&lock);
	worker->leave = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&lock);
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->wake);
	free(worker);
}

int
threads_start(int wanted, ThreadPrepare prepare, ThreadReserve reserve, int *error)
{
	sigset_t	all;
	sigset_t	before;
	int			ready;

	*error = 0;
	if (wanted > THREADS_MAX)
		wanted = THREADS_MAX;
	if (wanted < 1)
		wanted = 1;
	while (created > 0 && created >= wanted && threads_ready_workers() == created)
		threads_dismiss_last();
	while ((ready = threads_ready_workers() + 1) < wanted)
	{
		if (ready > created)
		{
			if (prepare != NULL && !prepare(STACK_BYTES))
				*error = ENOMEM;
			else
			{
				sigfillset(&all);
				pthread_sigmask(SIG_SETMASK, &all, &before);
				*error = threads_create_worker(reserve);
				pthread_sigmask(SIG_SETMASK, &before, NULL);
			}
			if (*error != 0)
				break;
		}
		if (!threads_wait_until_ready(workers[ready - 1]))
		{
			*error = ETIMEDOUT;
			break;
		}
	}
	return ready < wanted ? ready : wanted;
}

void
threads_run(int parts, ThreadWork work, void *argument)
{
	int			i;

	pthread_mutex_lock(&lock);
	running = parts - 1;
	for (i = 1; i < parts; i++)
	{
		Worker	   *worker = workers[i - 1];

		worker->argument = argument;
		worker->part = i;
		worker->work = work;
		pthread_cond_signal(&worker->wake);
	}
	pthread_mutex_unlock(&lock);
	work(argument, 0);
	pthread_mutex_lock(&lock);
	while (running > 0)
		pthread_cond_wait(&idle, &lock);
	pthread_mutex_unlock(&lock);
}
