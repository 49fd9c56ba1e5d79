/*
 * core/threads.h: the threads that share a product.  Numeric core.
 */
#ifndef THREADS_H
#define THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * core/threads.c: threads with every signal blocked, idle but for
 * threads_run().  threads_start() brings their number, the caller included,
 * to `wanted` or as near as the system allows, and returns it; *error is 0 or
 * the errno that stopped it.  `prepare` may refuse a thread beforehand; `reserve`
 * is the first thing that it runs.  threads_run() runs work(argument, 0 … parts - 1), part 0
 * in the caller, and returns when all are done; parts must not exceed what there is.
 */
#define THREADS_MAX 1024

typedef bool (*ThreadPrepare) (size_t stack);
typedef void (*ThreadReserve) (void);
typedef void (*ThreadWork) (void *argument, int part);

extern int	threads_start(int wanted, ThreadPrepare prepare, ThreadReserve reserve, int *error);
extern void threads_run(int parts, ThreadWork work, void *argument);

#endif							/* THREADS_H */
