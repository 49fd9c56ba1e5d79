/*
 * profile.c: where the core's time goes, by its own functions.  Linked with the
 * core into one shared object, with the linker's --wrap for each function named
 * below: every call from another file then passes through a wrapper here, which
 * charges the time to a phase.  Phases nest, and time counts once: what a product
 * takes inside a step is the products', not the step's.
 *
 * Also here: what the time is compared with, by the same library and in the same
 * process: products of a shape, a vector's product, and a pass over memory.
 */
#define _GNU_SOURCE
#include "core/method_dmsh_ln.h"
#include "core/method_jdsh.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_DEPTH 16

enum
{
	REST, FETCH, PRODUCTS, SIMILARITY, DSDW, ACTIVATION, SPARSE, SGD, ADAM, PAIRS, SHUFFLE, FINITE, PHASES
};

static const char *const phase_name[PHASES] = {
	"rest", "batches", "products", "similarity", "dsdw", "tanh and back", "sparse products", "sgd", "adam",
	"multi-similarity", "shuffle", "finite"
};

static struct
{
	bool		on;
	int			depth;
	int			stack[MAX_DEPTH];
	double		since;			/* when the phase on top was last charged */
	double		seconds[PHASES];
	double		operations;		/* of all products */
}			profile;

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void
charge(void)
{
	double		time = now();

	profile.seconds[profile.stack[profile.depth]] += time - profile.since;
	profile.since = time;
}

static void
enter(int phase)
{
	if (!profile.on)
		return;
	charge();
	if (profile.depth + 1 >= MAX_DEPTH)
		abort();
	profile.stack[++profile.depth] = phase;
}

static void
leave(void)
{
	if (!profile.on)
		return;
	charge();
	profile.depth--;
}

#define WRAP(phase, name, parameters, arguments) \
	extern void __real_##name parameters; \
	extern void __wrap_##name parameters; \
	void __wrap_##name parameters { enter(phase); __real_##name arguments; leave(); }
#define WRAP_VALUE(phase, type, name, parameters, arguments) \
	extern type __real_##name parameters; \
	extern type __wrap_##name parameters; \
	type __wrap_##name parameters { type value; enter(phase); value = __real_##name arguments; leave(); return value; }

WRAP(SIMILARITY, similarity_compute,
	 (Similarity *s, const CoreEnv *around, const JdshOptions *o, const Features *image, const Features *text),
	 (s, around, o, image, text))
WRAP(DSDW, dsdw_weight,
	 (Similarity *s, const CoreEnv *around, const JdshOptions *o, const DsdwFit *fit, int rows),
	 (s, around, o, fit, rows))
WRAP_VALUE(ACTIVATION, bool, learner_activate, (Learner *learner, int rows, float a), (learner, rows, a))
WRAP(ACTIVATION, learner_deactivate, (Learner *learner, int rows, float a), (learner, rows, a))
WRAP(SPARSE, learner_forward, (Learner *learner, const Features *features), (learner, features))
WRAP(SPARSE, sgd_forward, (Learner *learner, const Features *features, int step), (learner, features, step))
WRAP(SGD, sgd_step, (Learner *learner, const Features *features, const SgdStep *sgd, int step),
	 (learner, features, sgd, step))
WRAP(SGD, sgd_finish_epoch, (Learner *learner, int steps), (learner, steps))
WRAP(SPARSE, adam_backward, (Learner *learner, const Features *features), (learner, features))
WRAP(ADAM, adam_step, (Learner *learner, const AdamStep *step, double clip_norm), (learner, step, clip_norm))
WRAP_VALUE(PAIRS, double, multisimilarity,
		   (const CoreEnv *around, const DmshLnOptions *o, float *cosine, const uint8_t *kind, int rows,
			float factor, float *weight),
		   (around, o, cosine, kind, rows, factor, weight))
WRAP(PAIRS, multisimilarity_kinds,
	 (const CoreEnv *around, const uint8_t *labels, int rows, int classes, uint64_t *bits, uint8_t *kind),
	 (around, labels, rows, classes, bits, kind))
WRAP(SHUFFLE, random_shuffle, (RandomKey key, int32_t *permutation, int from, int to), (key, permutation, from, to))
WRAP_VALUE(FINITE, bool, learner_finite, (const Learner *learner), (learner))

#define PRODUCT_PARAMETERS (const CoreEnv *around, bool transpose_a, bool transpose_b, int m, int n, int k, \
	float alpha, const float *a, int a_stride, const float *b, int b_stride, float beta, float *c, int c_stride)

extern void __real_blas_product PRODUCT_PARAMETERS;
extern void __wrap_blas_product PRODUCT_PARAMETERS;

void
__wrap_blas_product PRODUCT_PARAMETERS
{
	enter(PRODUCTS);
	profile.operations += 2.0 * m * n * k;
	__real_blas_product(around, transpose_a, transpose_b, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
	leave();
}

/* For harness.c, whose own work a trainer would not have to do. */
extern void profile_fetch_begins(void);
extern void profile_fetch_ends(void);

void
profile_fetch_begins(void)
{
	enter(FETCH);
}

void
profile_fetch_ends(void)
{
	leave();
}

/* Counts start at nought; without on, products are counted but nothing is timed. */
EXPORT void
profile_begin(int on)
{
	memset(&profile, 0, sizeof(profile));
	profile.on = on;
	profile.since = now();
}

/* Seconds of each phase; returns the products' operations. */
EXPORT double
profile_end(double seconds[PHASES])
{
	if (profile.on)
		charge();
	memcpy(seconds, profile.seconds, sizeof(profile.seconds));
	profile.on = false;
	return profile.operations;
}

EXPORT int
profile_phases(const char *names[PHASES])
{
	memcpy(names, phase_name, sizeof(phase_name));
	return PHASES;
}

/* ------------------------------------------------- what it is compared with */

static void
no_interrupt(void)
{
}

static const CoreEnv nothing = {NULL, NULL, no_interrupt};

static float *
filled(size_t count)
{
	float	   *values;
	size_t		i;

	if (posix_memalign((void **) &values, 64, count * sizeof(float)) != 0)
		abort();
	for (i = 0; i < count; i++)
		values[i] = 0.001f * (i % 1000);
	return values;
}

/* Seconds of C [m × n] = A [m × k] · B [k × n], each of some repetitions, after one that warms up. */
EXPORT void
profile_product(int m, int n, int k, int repetitions, double *seconds)
{
	float	   *a = filled((size_t) m * k);
	float	   *b = filled((size_t) k * n);
	float	   *c = filled((size_t) m * n);
	int			i;

	for (i = -1; i < repetitions; i++)
	{
		double		start = now();

		__real_blas_product(&nothing, false, false, m, n, k, 1, a, k, b, n, 0, c, n);
		if (i >= 0)
			seconds[i] = now() - start;
	}
	free(a);
	free(b);
	free(c);
}

/*
 * Seconds of a product of W [outputs × inputs] and a vector; 100 different vectors in turn.  With
 * `then` > 0 of a second one too, of [then × outputs] and what the first gives: in turn, since
 * two matrices may fit in a cache one by one and not together.
 */
EXPORT int
profile_vector_product(int inputs, int outputs, int then, int repetitions, double *seconds)
{
	typedef void (*Sgemv) (int order, int transpose, int m, int n, float alpha, const float *a, int stride,
						   const float *x, int step_x, float beta, float *y, int step_y);
	void	   *library = dlopen("libopenblas.so.0", RTLD_NOW);
	Sgemv		sgemv = library != NULL ? (Sgemv) dlsym(library, "cblas_sgemv") : NULL;
	float	   *w = filled((size_t) inputs * outputs);
	float	   *x = filled((size_t) inputs * 100);
	float	   *y = filled(outputs);
	float	   *second = filled((size_t) outputs * then + 1);
	float	   *z = filled(then + 1);
	int			i;
	int			j;

	for (i = 0; i < repetitions && sgemv != NULL; i++)
	{
		double		start = now();

		for (j = 0; j < 100; j++)
		{
			sgemv(101, 111, outputs, inputs, 1, w, inputs, x + (size_t) j * inputs, 1, 0, y, 1);
			if (then > 0)
				sgemv(101, 111, then, outputs, 1, second, outputs, y, 1, 0, z, 1);
		}
		seconds[i] = (now() - start) / 100;
	}
	free(w);
	free(x);
	free(y);
	free(second);
	free(z);
	return sgemv != NULL;
}

/*
 * Bytes a second over arrays of so many floats: read only, or y += a·x, which
 * reads two and writes one.
 */
EXPORT double
profile_bandwidth(size_t floats, int writing)
{
	const VectorLoops *loops = vector_loops();
	float	   *x = filled(floats);
	float	   *y = filled(floats);
	double		min = 1e9;
	double		begun = now();
	int			passes = 1 + (int) (2e6 / floats);	/* some work between two looks at the clock */
	volatile float sink;
	int			i;

	while (now() - begun < 0.1)
	{
		double		start = now();

		for (i = 0; i < passes; i++)
		{
			if (writing)
				loops->add_scaled(y, 1e-6f, x, floats);
			else
				sink = loops->dot(x, x, floats);
		}
		if ((now() - start) / passes < min)
			min = (now() - start) / passes;
	}
	(void) sink;
	free(x);
	free(y);
	return (writing ? 12.0 : 4.0) * floats / min;
}
