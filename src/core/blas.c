/*
 * core/blas.c: matrix products, by OpenBLAS.
 *
 * The library is loaded at run time, by the first who needs a product of some
 * size, not linked: that keeps it, with some tens of megabytes of buffers, out
 * of every process that trains nothing.  It is held at one thread from its
 * constructor on, and called from threads of ours; core/threads.c says why.
 *
 * Each call takes one of the library's work buffers for its time, mapping
 * another when all are taken, and when that mapping fails it tries again for
 * ever (0.3.21, 0.3.29) or ends the process (0.3.34).  So each thread takes a
 * buffer once, while all others hold one, before it gets work, and only after
 * as much memory could be mapped and given back: products find enough buffers
 * mapped and ask for nothing.
 *
 * The same holds for the library's other functions.  LAPACK's run in the
 * thread that calls them, take the same buffers, one a call, and start no thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "core/blas.h"
#include "core/threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

/* The C interface's constants; its header need not be installed. */
#define ORDER_ROW_MAJOR 101
#define NO_TRANSPOSE 111
#define TRANSPOSE 112
#define PARALLEL_NONE 0

/* Most multiplications and additions between two interrupt checks. */
#define SLICE_OPERATIONS 2e9

/* The library's largest work buffer on any processor (POWER; 128 MB on x86-64), as address space. */
#define BUFFER_BYTES ((size_t) 256 * 1024 * 1024)

/* What loading the library takes beside: its text and data, and what it needs itself. */
#define LIBRARY_BYTES ((size_t) 128 * 1024 * 1024)

/* Kept free of our own trial, for what another process may take meanwhile, and a thread's malloc arena. */
#define SPARE_BYTES ((size_t) 64 * 1024 * 1024)

typedef void (*SgemmFunction) (int order, int transpose_a, int transpose_b,
							   int m, int n, int k, float alpha,
							   const float *a, int a_stride,
							   const float *b, int b_stride,
							   float beta, float *c, int c_stride);
typedef void (*DgemmFunction) (int order, int transpose_a, int transpose_b,
							   int m, int n, int k, double alpha,
							   const double *a, int a_stride,
							   const double *b, int b_stride,
							   double beta, double *c, int c_stride);

static void *library;
static SgemmFunction sgemm;
static DgemmFunction dgemm;
static void (*set_num_threads) (int threads);
static char *(*get_config) (void);
static char *(*get_corename) (void);
static int	(*get_parallel) (void);

/* May be missing where the library exports its documented names alone. */
static void *(*buffer_take) (int purpose);
static void (*buffer_give) (void *buffer);

static int	current_threads = 1;
static int	most_threads = THREADS_MAX; /* that this build of the library can serve */

static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static void *held[2 * THREADS_MAX];
static int	held_count;

static void *
blas_resolve(void *handle, const char *name, char *message, size_t size)
{
	void	   *address = dlsym(handle, name);

	if (address == NULL)
		snprintf(message, size, "the library has no function %s", name);
	return address;
}

/* Could the process map so much now?  The pages are not touched. */
static bool
blas_can_map(size_t bytes)
{
	void	   *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory != MAP_FAILED && munmap(memory, bytes) == 0;
}

static void *
blas_open(const char *path, char *message, size_t size)
{
	/*
	 * Builds with threads of their own can be called from several threads at
	 * once, the serial ones can't: so Fedora's name of the former comes first.
	 */
	static const char *const names[] = {
		"libopenblasp.so.0",	/* Fedora, FreeBSD */
		"libopenblas.so.0",		/* Debian, SUSE, Arch; Fedora's serial build */
		"libopenblaso.so.0",	/* Fedora's OpenMP build */
		"libopenblas.so.3",		/* Alpine */
		"/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
		"/usr/local/opt/openblas/lib/libopenblas.dylib",
		"/opt/local/lib/libopenblas.dylib",
		"libopenblas.dylib"
	};
	size_t		i;
	void	   *handle;

	if (path != NULL && path[0] != '\0')
	{
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (handle == NULL)
			snprintf(message, size, "%s", dlerror());
		return handle;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		if (handle != NULL)
			return handle;
	}
	snprintf(message, size, "none of the names it has on Debian, Fedora, Alpine and with Homebrew was found");
	return NULL;
}

/*
 * Load with one thread asked for through the environment, the only way to
 * keep the library's constructor from starting a thread per core.
 */
static void *
blas_open_single_threaded(const char *path, char *message, size_t size)
{
	static const char *const variables[] = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"};
	char	   *before[2];
	sigset_t	all;
	sigset_t	mask;
	void	   *handle;
	int			i;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	for (i = 0; i < 2; i++)
	{
		const char *set = getenv(variables[i]);

		before[i] = set != NULL ? strdup(set) : NULL;
		setenv(variables[i], "1", 1);
	}
	handle = blas_open(path, message, size);
	for (i = 0; i < 2; i++)
	{
		if (before[i] != NULL)
			setenv(variables[i], before[i], 1);
		else
			unsetenv(variables[i]);
		free(before[i]);
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return handle;
}

/*
 * Every thread that calls the library begins so: the OpenMP build keeps the
 * number of threads for each calling thread.
 */
static void
blas_reserve_buffer(void)
{
	void	   *buffer = buffer_take != NULL ? buffer_take(0) : NULL;

	set_num_threads(1);
	pthread_mutex_lock(&held_lock);
	if (buffer != NULL)
		held[held_count++] = buffer;
	pthread_mutex_unlock(&held_lock);
}

static void
blas_release_buffer(void)
{
	pthread_mutex_lock(&held_lock);
	while (held_count > 0)
		buffer_give(held[--held_count]);
	pthread_mutex_unlock(&held_lock);
}

/* What this build says of itself: "OpenBLAS 0.3.21 DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64". */
static bool
blas_check_build(char *message, size_t size)
{
	static const char label[] = "MAX_THREADS=";
	const char *config = get_config();
	const char *number = strstr(config, label);

	/* Its integers are longer than those of the interface that we call. */
	if (strstr(config, "USE64BITINT") != NULL)
	{
		snprintf(message, size, "it is a build with 64-bit integers: %s", config);
		return false;
	}
	most_threads = number != NULL ? atoi(number + sizeof(label) - 1) : 1;
	if (most_threads > THREADS_MAX)
		most_threads = THREADS_MAX;
	if (most_threads < 1 || get_parallel() == PARALLEL_NONE)
		most_threads = 1;
	return true;
}

/* Load OpenBLAS, if it is not yet loaded.  The library stays for good. */
BlasStatus
blas_load(const char *path, char *message, size_t size)
{
	void	   *handle;
	SgemmFunction found;
	DgemmFunction found_double;

	if (library != NULL)
		return BLAS_LOADED;
	message[0] = '\0';
	if (!blas_can_map(BUFFER_BYTES + LIBRARY_BYTES + SPARE_BYTES))
	{
		snprintf(message, size, "the library and its work buffer take up to %zu MB of address space",
				 (BUFFER_BYTES + LIBRARY_BYTES + SPARE_BYTES) / (1024 * 1024));
		return BLAS_NO_MEMORY;
	}
	handle = blas_open_single_threaded(path, message, size);
	if (handle == NULL)
		return BLAS_NOT_FOUND;

	found = (SgemmFunction) blas_resolve(handle, "cblas_sgemm", message, size);
	found_double = (DgemmFunction) blas_resolve(handle, "cblas_dgemm", message, size);
	set_num_threads = (void (*) (int)) blas_resolve(handle, "openblas_set_num_threads", message, size);
	get_config = (char *(*) (void)) blas_resolve(handle, "openblas_get_config", message, size);
	get_corename = (char *(*) (void)) blas_resolve(handle, "openblas_get_corename", message, size);
	get_parallel = (int (*) (void)) blas_resolve(handle, "openblas_get_parallel", message, size);
	if (found == NULL || found_double == NULL || set_num_threads == NULL || get_config == NULL || get_corename == NULL ||
		get_parallel == NULL || !blas_check_build(message, size))
		return BLAS_UNSUITABLE;
	buffer_take = (void *(*) (int)) dlsym(handle, "blas_memory_alloc");
	buffer_give = (void (*) (void *)) dlsym(handle, "blas_memory_free");
	if (buffer_give == NULL)
		buffer_take = NULL;
	if (!blas_can_map(BUFFER_BYTES + SPARE_BYTES))
	{
		snprintf(message, size, "its work buffer takes up to %zu MB of address space",
				 BUFFER_BYTES / (1024 * 1024));
		return BLAS_NO_MEMORY;
	}
	blas_reserve_buffer();
	blas_release_buffer();
	sgemm = found;
	dgemm = found_double;
	library = handle;
	current_threads = 1;
	return BLAS_LOADED;
}

bool
blas_loaded(void)
{
	return library != NULL;
}

/* Another function of the loaded library, by its name; NULL: it has none. */
void *
blas_function(const char *name)
{
	return library != NULL ? dlsym(library, name) : NULL;
}

static bool
blas_can_add_thread(size_t stack)
{
	return blas_can_map(BUFFER_BYTES + stack + SPARE_BYTES);
}

/*
 * Bound the threads of all later products; the answer is how many there are.
 * If the system refused more, errno says why, else it is 0.  While more are started, those that there are hold a buffer each, or a new
 * one would take theirs, and one would be missing when all work at once.
 */
int
blas_set_threads(int threads)
{
	int			error = 0;
	int			i;

	errno = 0;
	if (threads < 1)
		threads = 1;
	if (library == NULL)
		return current_threads = threads;
	set_num_threads(1);			/* in case a namesake in this process has changed it */
	if (threads > most_threads)
		threads = most_threads;
	for (i = 0; i < current_threads && current_threads < threads; i++)
	{
		if (!blas_can_map(BUFFER_BYTES + SPARE_BYTES))
		{
			error = ENOMEM;
			threads = current_threads;
		}
		else
			blas_reserve_buffer();
	}
	if (threads != current_threads)
		current_threads = threads_start(threads, blas_can_add_thread, blas_reserve_buffer, &error);
	blas_release_buffer();
	errno = error;
	return current_threads;
}

int
blas_threads(void)
{
	return current_threads;
}

/* How many threads the loaded library can serve. */
int
blas_max_threads(void)
{
	return most_threads;
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

/* C[m×n] = alpha·op(A)[m×k]·op(B)[k×n] + beta·C, of floats, or all of doubles */
typedef struct Product
{
	bool		transpose_a;
	bool		transpose_b;
	int			m;
	int			n;
	int			k;
	double		alpha;
	const void *a;
	int			a_stride;
	const void *b;
	int			b_stride;
	double		beta;
	void	   *c;
	int			c_stride;
	size_t		element;		/* sizeof(float) or sizeof(double) */
	int			row_parts;		/* the threads' parts of C are a grid */
	int			column_parts;
} Product;

static double
plain_element(const Product *p, const void *matrix, size_t at)
{
	return p->element == sizeof(float) ? ((const float *) matrix)[at] : ((const double *) matrix)[at];
}

/* The same product by plain loops, for a process that has no BLAS loaded. */
static void
plain_product(const Product *p)
{
	int			i;
	int			j;
	int			l;

	for (i = 0; i < p->m; i++)
		for (j = 0; j < p->n; j++)
		{
			size_t		to = (size_t) i * p->c_stride + j;
			double		sum = 0;

			for (l = 0; l < p->k; l++)
				sum += plain_element(p, p->a, p->transpose_a ? (size_t) l * p->a_stride + i : (size_t) i * p->a_stride + l) *
					plain_element(p, p->b, p->transpose_b ? (size_t) j * p->b_stride + l : (size_t) l * p->b_stride + j);
			sum *= p->alpha;
			if (p->beta != 0)	/* beta 0 must not read NaN */
				sum += p->beta * plain_element(p, p->c, to);
			if (p->element == sizeof(float))
				((float *) p->c)[to] = (float) sum;
			else
				((double *) p->c)[to] = sum;
		}
}

/* The block of C at (row, column); the strides stay those of the whole matrices. */
static Product
product_block(const Product *whole, int row, int rows, int column, int columns)
{
	Product		block = *whole;
	size_t		size = whole->element;

	block.m = rows;
	block.n = columns;
	block.a = (const char *) whole->a + size * (whole->transpose_a ? (size_t) row : (size_t) row * whole->a_stride);
	block.b = (const char *) whole->b + size * (whole->transpose_b ? (size_t) column * whole->b_stride : (size_t) column);
	block.c = (char *) whole->c + size * ((size_t) row * whole->c_stride + column);
	return block;
}

static void
product_compute(const Product *p)
{
	int			transpose_a = p->transpose_a ? TRANSPOSE : NO_TRANSPOSE;
	int			transpose_b = p->transpose_b ? TRANSPOSE : NO_TRANSPOSE;

	if (p->m <= 0 || p->n <= 0)
		return;
	if (library == NULL)
		plain_product(p);
	else if (p->element == sizeof(float))
		sgemm(ORDER_ROW_MAJOR, transpose_a, transpose_b, p->m, p->n, p->k, (float) p->alpha, p->a, p->a_stride,
			  p->b, p->b_stride, (float) p->beta, p->c, p->c_stride);
	else
		dgemm(ORDER_ROW_MAJOR, transpose_a, transpose_b, p->m, p->n, p->k, p->alpha, p->a, p->a_stride,
			  p->b, p->b_stride, p->beta, p->c, p->c_stride);
}

/* Where part i of `parts` begins: at a multiple of what the kernels take at once. */
static int
product_part_begin(int extent, int parts, int i)
{
	const int	together = 32;
	int64_t		begin = (int64_t) extent * i / parts;

	begin = (begin + together / 2) / together * together;
	return i == parts || begin > extent ? extent : (int) begin;
}

static void
product_compute_part(void *argument, int part)
{
	const Product *whole = argument;
	int			i = part / whole->column_parts;
	int			j = part % whole->column_parts;
	int			row = product_part_begin(whole->m, whole->row_parts, i);
	int			column = product_part_begin(whole->n, whole->column_parts, j);
	Product		block = product_block(whole, row, product_part_begin(whole->m, whole->row_parts, i + 1) - row,
									  column, product_part_begin(whole->n, whole->column_parts, j + 1) - column);

	product_compute(&block);
}

/*
 * One slice, by all threads.  Every part packs its rows of A and its columns
 * of B for itself, so of all grids the one with the squarest parts is best.
 * It depends on the shape and the number of threads, so results do not vary.
 */
static void
product_slice(Product *slice, int threads)
{
	int			rows;
	double		min = INFINITY;

	if (threads == 1)
	{
		product_compute(slice);
		return;
	}
	for (rows = 1; rows <= threads; rows++)
	{
		double		sides = (double) slice->m / rows + (double) slice->n * rows / threads;

		if (threads % rows == 0 && sides < min)
		{
			min = sides;
			slice->row_parts = rows;
			slice->column_parts = threads / rows;
		}
	}
	threads_run(threads, product_compute_part, slice);
}

/* The height of slices that cut n rows into the fewest equal parts of at most `most`. */
static int
product_equal_parts(int n, double max_part)
{
	int			parts = (int) ceil(n / fmax(max_part, 1));

	return (n + parts - 1) / parts;
}

/*
 * Cut C into blocks of at most `operations`.  Every block reads its rows of A
 * and its columns of B, so square blocks read the fewest bytes.
 */
static void
product_choose_block(int m, int n, int k, double operations, int *rows, int *columns)
{
	double		elements = operations / (2.0 * k);	/* of C, in one block */
	double		side = sqrt(elements);

	*rows = m;
	*columns = n;
	if ((double) m * n <= elements)
		return;
	if (m <= side)
		*columns = product_equal_parts(n, elements / m);
	else if (n <= side)
		*rows = product_equal_parts(m, elements / n);
	else
	{
		*rows = product_equal_parts(m, side);
		*columns = product_equal_parts(n, elements / *rows);
	}
}

/* The slices depend on the shape alone, never on time, so the result is the same in every run. */
static void
product_run(const CoreEnv *env, const Product *whole, double operations)
{
	int			m = whole->m;
	int			n = whole->n;
	int			threads = library == NULL || 2.0 * m * n * whole->k < BLAS_THREADED_OPERATIONS ? 1 : current_threads;
	int			columns;
	int			rows;
	int			i;
	int			j;

	if (library == NULL)
		operations /= 50;
	product_choose_block(m, n, whole->k, operations, &rows, &columns);
	for (i = 0; i < m; i += rows)
		for (j = 0; j < n; j += columns)
		{
			Product		slice = product_block(whole, i, m - i < rows ? m - i : rows,
											  j, n - j < columns ? n - j : columns);

			product_slice(&slice, threads);
			env->interrupt();
		}
}

/* C[m×n] = alpha·op(A)[m×k]·op(B)[k×n] + beta·C. */
void
blas_product(const CoreEnv *env, bool transpose_a, bool transpose_b,
			 int m, int n, int k, float alpha,
			 const float *a, int a_stride, const float *b, int b_stride,
			 float beta, float *c, int c_stride)
{
	const Product whole = {transpose_a, transpose_b, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride,
	sizeof(float), 1, 1};

	product_run(env, &whole, SLICE_OPERATIONS);
}

/* The same of doubles, of which a core does half as many in a second. */
void
blas_product_double(const CoreEnv *env, bool transpose_a, bool transpose_b,
					int m, int n, int k, double alpha,
					const double *a, int a_stride, const double *b, int b_stride,
					double beta, double *c, int c_stride)
{
	const Product whole = {transpose_a, transpose_b, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride,
	sizeof(double), 1, 1};

	product_run(env, &whole, SLICE_OPERATIONS / 2);
}
