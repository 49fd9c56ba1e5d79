/*
 * numeric_blas.c: matrix products, by OpenBLAS.
 *
 * The library is loaded at run time, by the first who needs a product of some
 * size, not linked: it starts threads, and a thread that exists while a
 * server's signal handler is installed may be picked to run that handler,
 * which was written for one thread.  Threads inherit the signal mask of their
 * creator, so whatever may create one here runs with every signal blocked.
 * It also keeps OpenBLAS, with some tens of megabytes of buffers, out of
 * every process that trains nothing.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "numeric.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C interface's constants; its header need not be installed. */
#define ORDER_ROW_MAJOR 101
#define NO_TRANSPOSE 111
#define TRANSPOSE 112
#define PARALLEL_OPENMP 2

/* Most multiplications and additions between two interrupt checks. */
#define SLICE_OPERATIONS 2e9

/*
 * Below this, one thread does a product: the others' waking and joining costs
 * tens of microseconds, far more on a busy machine, and a core does this in
 * some 0.3 ms.
 */
#define THREADED_OPERATIONS 3e7

typedef void (*SgemmFunction) (int order, int transpose_a, int transpose_b,
							   int m, int n, int k, float alpha,
							   const float *a, int a_stride,
							   const float *b, int b_stride,
							   float beta, float *c, int c_stride);

static void *library;
static SgemmFunction sgemm;
static void (*set_num_threads) (int threads);
static char *(*get_config) (void);
static char *(*get_corename) (void);
static int	(*get_parallel) (void);
static bool threads_come_late;	/* an OpenMP build: products create them */
static int	current_threads = 1;	/* as asked for */
static int	active_threads = 1;		/* as the library has it now */

static void *
resolve(void *handle, const char *name, char *message, size_t size)
{
	void	   *address = dlsym(handle, name);

	if (address == NULL)
		snprintf(message, size, "the OpenBLAS library has no function %s", name);
	return address;
}

static void *
open_library(char *message, size_t size)
{
	static const char *const names[] = {"libopenblas.so.0", "libopenblasp.so.0", "libopenblas.dylib"};
	size_t		i;

	message[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		void	   *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);

		if (handle != NULL)
			return handle;
		if (i == 0)
			snprintf(message, size, "%s", dlerror());
	}
	return NULL;
}

/*
 * Load with one thread asked for through the environment, the only way to
 * keep the library's constructor from starting a thread per core.
 */
static void *
open_single_threaded(char *message, size_t size)
{
	static const char variable[] = "OPENBLAS_NUM_THREADS";
	const char *set = getenv(variable);
	char	   *before = set != NULL ? strdup(set) : NULL;
	void	   *handle;

	setenv(variable, "1", 1);
	handle = open_library(message, size);
	if (before != NULL)
		setenv(variable, before, 1);
	else
		unsetenv(variable);
	free(before);
	return handle;
}

/* Load OpenBLAS, if it is not yet loaded.  The library stays for good. */
bool
blas_load(char *message, size_t size)
{
	sigset_t	all;
	sigset_t	before;
	void	   *handle;
	SgemmFunction found;

	if (library != NULL)
		return true;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	handle = open_single_threaded(message, size);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (handle == NULL)
		return false;

	found = (SgemmFunction) resolve(handle, "cblas_sgemm", message, size);
	set_num_threads = (void (*) (int)) resolve(handle, "openblas_set_num_threads", message, size);
	get_config = (char *(*) (void)) resolve(handle, "openblas_get_config", message, size);
	get_corename = (char *(*) (void)) resolve(handle, "openblas_get_corename", message, size);
	get_parallel = (int (*) (void)) resolve(handle, "openblas_get_parallel", message, size);
	if (found == NULL || set_num_threads == NULL || get_config == NULL || get_corename == NULL ||
		get_parallel == NULL)
		return false;
	threads_come_late = get_parallel() == PARALLEL_OPENMP;
	sgemm = found;
	library = handle;
	active_threads = 0;			/* whatever a namesake in this process has set */
	blas_set_threads(1);
	return true;
}

bool
blas_loaded(void)
{
	return library != NULL;
}

static void
activate_threads(int threads)
{
	if (threads == active_threads)
		return;
	set_num_threads(threads);
	active_threads = threads;
}

/*
 * Bound the threads of all later products.  Those missing are created here,
 * under the mask; products then only switch between one and all of them.
 */
void
blas_set_threads(int threads)
{
	sigset_t	all;
	sigset_t	before;

	current_threads = threads < 1 ? 1 : threads;
	if (library == NULL)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	activate_threads(current_threads);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int
blas_threads(void)
{
	return current_threads;
}

/* Results depend on the library's version and on the kernels it chose. */
const char *
blas_version(void)
{
	static char version[256];

	if (library == NULL)
		return "none";
	snprintf(version, sizeof(version), "%s, core %s", get_config(), get_corename());
	return version;
}

/* The same product by plain loops, for a process that has no BLAS loaded. */
static void
plain_product(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha,
			  const float *a, int a_stride, const float *b, int b_stride,
			  float beta, float *c, int c_stride)
{
	int			i;
	int			j;
	int			l;

	for (i = 0; i < m; i++)
		for (j = 0; j < n; j++)
		{
			float	   *to = c + (size_t) i * c_stride + j;
			float		sum = 0;

			for (l = 0; l < k; l++)
				sum += (transpose_a ? a[(size_t) l * a_stride + i] : a[(size_t) i * a_stride + l]) *
					(transpose_b ? b[(size_t) j * b_stride + l] : b[(size_t) l * b_stride + j]);
			*to = alpha * sum + (beta == 0 ? 0 : beta * *to);	/* beta 0 must not read NaN */
		}
}

/* One slice; the strides are those of the whole matrices. */
static void
product_slice(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha,
			  const float *a, int a_stride, const float *b, int b_stride,
			  float beta, float *c, int c_stride)
{
	sigset_t	all;
	sigset_t	before;

	if (library == NULL)
	{
		plain_product(transpose_a, transpose_b, m, n, k, alpha, a, a_stride, b, b_stride,
					  beta, c, c_stride);
		return;
	}
	/* A signal waits for the end of the slice, some tens of milliseconds. */
	if (threads_come_late)
	{
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
	}
	sgemm(ORDER_ROW_MAJOR, transpose_a ? TRANSPOSE : NO_TRANSPOSE,
		  transpose_b ? TRANSPOSE : NO_TRANSPOSE, m, n, k, alpha, a, a_stride, b, b_stride,
		  beta, c, c_stride);
	if (threads_come_late)
		pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The height of slices that cut n rows into the fewest equal parts of at most `most`. */
static int
equal_parts(int n, double most)
{
	int			parts = (int) ceil(n / fmax(most, 1));

	return (n + parts - 1) / parts;
}

/*
 * Cut C into blocks of at most `operations`.  Every block reads its rows of A
 * and its columns of B, so square blocks read least.
 */
static void
choose_block(int m, int n, int k, double operations, int *rows, int *columns)
{
	double		elements = operations / (2.0 * k);	/* of C, in one block */
	double		side = sqrt(elements);

	*rows = m;
	*columns = n;
	if ((double) m * n <= elements)
		return;
	if (m <= side)
		*columns = equal_parts(n, elements / m);
	else if (n <= side)
		*rows = equal_parts(m, elements / n);
	else
	{
		*rows = equal_parts(m, side);
		*columns = equal_parts(n, elements / *rows);
	}
}

/*
 * C[m×n] = alpha·op(A)[m×k]·op(B)[k×n] + beta·C.  The slices depend on the
 * shape alone, never on time, so the result is the same in every run.
 */
void
blas_product(const Surroundings *surroundings, bool transpose_a, bool transpose_b,
			 int m, int n, int k, float alpha,
			 const float *a, int a_stride, const float *b, int b_stride,
			 float beta, float *c, int c_stride)
{
	double		operations = library != NULL ? SLICE_OPERATIONS : SLICE_OPERATIONS / 50;
	int			columns;
	int			rows;
	int			i;
	int			j;

	if (library != NULL)
		activate_threads(2.0 * m * n * k < THREADED_OPERATIONS ? 1 : current_threads);
	choose_block(m, n, k, operations, &rows, &columns);
	for (i = 0; i < m; i += rows)
		for (j = 0; j < n; j += columns)
		{
			product_slice(transpose_a, transpose_b,
						  m - i < rows ? m - i : rows, n - j < columns ? n - j : columns, k, alpha,
						  transpose_a ? a + i : a + (size_t) i * a_stride, a_stride,
						  transpose_b ? b + (size_t) j * b_stride : b + j, b_stride,
						  beta, c + (size_t) i * c_stride + j, c_stride);
			surroundings->interrupt();
		}
}
