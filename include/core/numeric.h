/*
 * core/numeric.h: ground of the numeric core: memory, interruption, BLAS, random
 * numbers.  No PostgreSQL headers, so that test/unit builds it alone.
 */
#ifndef NUMERIC_H
#define NUMERIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the core asks of its surroundings.  allocate() returns zeroed memory,
 * aligned to 64 bytes, that lives until the caller drops the whole arena: the
 * core never frees, so that an error thrown through it leaks nothing.
 * interrupt() is called at least every few dozen milliseconds of work and may
 * leave by longjmp.
 */
typedef struct CoreEnv
{
	void	   *(*allocate) (void *arena, size_t bytes);
	void	   *arena;
	void		(*interrupt) (void);
} CoreEnv;

/*
 * OpenBLAS is loaded lazily, and kept at one thread; products are shared among
 * threads of our own.
 */
typedef enum BlasStatus
{
	BLAS_LOADED,
	BLAS_NOT_FOUND,
	BLAS_UNSUITABLE,			/* found, but not what is needed */
	BLAS_NO_MEMORY
} BlasStatus;

/* `path` NULL or "": wherever the platform has it.  Not loaded: why, in message. */
extern BlasStatus blas_load(const char *path, char *message, size_t size);
extern bool blas_loaded(void);
extern void *blas_function(const char *name);	/* of the loaded library, or NULL */
extern int	blas_set_threads(int threads);	/* how many there are; errno: why not more */
extern int	blas_threads(void);
extern int	blas_most_threads(void);
extern const char *blas_version(void);	/* library and core, e.g. for a checkpoint */

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

/*
 * C[m×n] = alpha·op(A)[m×k]·op(B)[k×n] + beta·C, all row-major, cut by shape
 * into slices of at most about 2 GFLOP with an interrupt check between.
 * Without a loaded BLAS, plain loops do it: right, but slow.
 */
extern void blas_product(const CoreEnv *env, bool transpose_a, bool transpose_b,
						 int m, int n, int k, float alpha,
						 const float *a, int a_stride, const float *b, int b_stride,
						 float beta, float *c, int c_stride);

/* The same of doubles. */
extern void blas_product_double(const CoreEnv *env, bool transpose_a, bool transpose_b,
								int m, int n, int k, double alpha,
								const double *a, int a_stride, const double *b, int b_stride,
								double beta, double *c, int c_stride);

/*
 * Counter-based random numbers: a function of (seed, epoch, step, purpose,
 * index), so that there is no generator state to store.
 */
typedef enum RandomPurpose
{
	RANDOM_WEIGHTS_IMAGE = 1,
	RANDOM_WEIGHTS_TEXT,
	RANDOM_WEIGHTS_LABEL,
	RANDOM_SHUFFLE,
	RANDOM_FIT_SAMPLE,
	RANDOM_VALIDATION,
	RANDOM_DROPOUT_IMAGE,
	RANDOM_DROPOUT_TEXT,
	RANDOM_ANCHORS,
	RANDOM_SUBSPACE,
	RANDOM_ROTATION
} RandomPurpose;

typedef struct RandomKey
{
	uint64_t	key;
} RandomKey;

extern RandomKey random_key(uint64_t seed, uint32_t epoch, uint32_t step, RandomPurpose purpose);
extern uint64_t random_bits(RandomKey key, uint64_t index);
extern float random_uniform(RandomKey key, uint64_t index); /* in [0, 1) */

/* SplitMix64 itself, where one number follows from the other. */
extern uint64_t random_next(uint64_t *state);

/* to[i] = random_uniform(key, from + i): many at once cost half as much. */
extern void random_fill(RandomKey key, uint64_t from, float *to, int count);

/* A permutation of 0…n-1 (Fisher–Yates). */
extern void random_permutation(RandomKey key, int32_t *permutation, int n);

/*
 * The same in instalments, for the interruptible: put `permutation` at
 * 0…n-1, then shuffle its positions from n-1 down to 1, in ranges [from, to).
 */
extern void random_shuffle(RandomKey key, int32_t *permutation, int from, int to);

#endif							/* NUMERIC_H */
