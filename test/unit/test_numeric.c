/*
 * test_numeric.c: the ground of the numeric core: vector loops of every
 * instruction set against plain ones in double, products against plain loops,
 * random numbers.
 *
 * usage: test_numeric [SEED]
 */
#include "core_test.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#define MAX_LENGTH 150				/* longest array */

/* ------------------------------------------------------------ vector loops */

/* Arrays at odd addresses, with a guard behind. */
typedef struct Arrays
{
	float		memory[4][MAX_LENGTH + 20];
	float	   *x;
	float	   *y;
	float	   *z;
	float	   *g;
} Arrays;

static void
fill_arrays(Arrays *arrays, int n)
{
	float	   *at[4];
	int			i;
	int			j;

	for (i = 0; i < 4; i++)
	{
		at[i] = arrays->memory[i] + draw_below(8);
		for (j = 0; j < n; j++)
			at[i][j] = draw_normal();
		at[i][n] = 12345;
	}
	arrays->x = at[0];
	arrays->y = at[1];
	arrays->z = at[2];
	arrays->g = at[3];
}

static double
guarded(const Arrays *arrays, int n)
{
	return arrays->x[n] == 12345 && arrays->y[n] == 12345 && arrays->z[n] == 12345 &&
		arrays->g[n] == 12345 ? 0 : INFINITY;
}

static double
try_dot(const VectorLoops *loops, Arrays *a, int n)
{
	double		sum = 0;
	double		scale = 1;
	int			i;

	for (i = 0; i < n; i++)
	{
		sum += (double) a->x[i] * a->y[i];
		scale += fabs((double) a->x[i] * a->y[i]);
	}
	return fabs(loops->dot(a->x, a->y, n) - sum) / scale;
}

/* Negative numbers and NaN do not count, wherever they are. */
static double
try_max(const VectorLoops *loops, Arrays *a, int n)
{
	double		max = 0;
	double		found;
	float		kept = n > 0 ? a->x[n / 2] : 0;
	int			i;

	if (n > 0)
		a->x[n / 2] = NAN;
	for (i = 0; i < n; i++)
		max = fmax(max, a->x[i]);
	found = loops->max(a->x, n);
	if (n > 0)
		a->x[n / 2] = kept;
	return found == max ? 0 : INFINITY;
}

static double
try_simple(const VectorLoops *loops, Arrays *a, int n)
{
	double		expected[3][MAX_LENGTH];
	double		exact[MAX_LENGTH];
	double		error = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		expected[0][i] = a->x[i] + 0.3f * (double) a->y[i];
		expected[1][i] = fmax(0, expected[0][i] + a->z[i]);
		expected[2][i] = a->y[i] > 0 ? a->g[i] : 0;
		exact[i] = i;
	}
	loops->add_scaled_exact(exact, 0.3f, a->y, n);
	loops->add_scaled(a->x, 0.3f, a->y, n);
	for (i = 0; i < n; i++)
		error = fmax(error, fmax(fabs(a->x[i] - expected[0][i]), 1e6 * fabs(exact[i] - i - 0.3f * (double) a->y[i])));
	loops->bias_relu(a->x, a->z, n);
	loops->mask_relu(a->g, a->y, n);
	for (i = 0; i < n; i++)
		error = fmax(error, fmax(fabs(a->x[i] - expected[1][i]), fabs(a->g[i] - expected[2][i])));
	return error;
}

static double
try_optimizers(const VectorLoops *loops, Arrays *a, int n)
{
	const SgdStep sgd = {0.1f, 0.9f, 0.01f};
	const AdamStep adam = {0.5f, 0.9f, 0.98f, 0.01f, 3.0f, 1e-3f, 0.002f};
	const float *gradient = draw() < 0.2 ? NULL : a->g;
	double		w[MAX_LENGTH];
	double		v[MAX_LENGTH];
	double		error = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		v[i] = 0.9f * (double) a->y[i] + (gradient != NULL ? gradient[i] : 0) + 0.01f * (double) a->x[i];
		w[i] = a->x[i] - 0.1f * v[i];
	}
	loops->sgd(a->x, a->y, gradient, &sgd, n);
	for (i = 0; i < n; i++)
		error = fmax(error, fmax(fabs(a->x[i] - w[i]), fabs(a->y[i] - v[i])));
	for (i = 0; i < n; i++)
	{
		double		g = gradient != NULL ? 0.5 * gradient[i] : 0;
		double		m = 0.9f * (double) a->y[i] + (1 - 0.9f) * g;
		double		second;

		a->z[i] = fabsf(a->z[i]);
		second = 0.98f * (double) a->z[i] + (1 - 0.98f) * g * g;
		v[i] = second;
		w[i] = a->x[i] - (0.01f * m / (sqrt(second) * 3 + 1e-3f) + 0.002f * (double) a->x[i]);
	}
	loops->adam(a->x, a->y, a->z, gradient, &adam, n);
	for (i = 0; i < n; i++)
		error = fmax(error, fmax(fabs(a->x[i] - w[i]), fabs(a->z[i] - v[i])));
	loops->combine(a->z, 0.5f, a->x, -0.25f, a->y, n);
	for (i = 0; i < n; i++)
	{
		double		g = gradient != NULL ? gradient[i] : 0;

		w[i] = 0.5f * (double) a->x[i] - 0.25f * (double) a->y[i];
		error = fmax(error, fabs(a->z[i] - w[i]));
		w[i] -= 0.1f * g;
		v[i] = 2.0f * (double) a->x[i] + 0.1f * (double) a->y[i] + g;
	}
	loops->rotate(a->x, a->y, 0.5f, -0.25f, 2.0f, 0.1f, gradient, 0.1f, n);
	for (i = 0; i < n; i++)
		error = fmax(error, fmax(fabs(a->x[i] - w[i]), fabs(a->y[i] - v[i])));
	return error;
}

/* A vector of up to 30 entries times rows of a matrix, dense and chosen. */
static double
try_rows(const VectorLoops *loops, Arrays *a, int n)
{
	float		matrix[30 * (MAX_LENGTH + 3)];
	float		x[30];
	int32_t		index[30];
	int			count = draw_below(31);
	bool		chosen = draw() < 0.5;
	double		error = 0;
	int			i;
	int			j;

	for (i = 0; i < 30; i++)
	{
		x[i] = draw_normal();
		index[i] = draw_below(30);
		for (j = 0; j < n + 3; j++)
			matrix[i * (n + 3) + j] = draw_normal();
	}
	for (j = 0; j < n; j++)
		a->z[j] = a->y[j];
	loops->add_rows(a->z, matrix, n + 3, n, x, chosen ? index : NULL, count);
	for (j = 0; j < n; j++)
	{
		double		sum = a->y[j];

		for (i = 0; i < count; i++)
			sum += (double) x[i] * matrix[(chosen ? index[i] : i) * (n + 3) + j];
		error = fmax(error, fabs(a->z[j] - sum) / 10);
	}
	return error;
}

/* Pairs of an anchor: extremes, weights, gradients. */
static double
try_pairs(const VectorLoops *loops, Arrays *a, int n)
{
	uint8_t		kind[MAX_LENGTH + 1];
	const float p[PAIR_PARAMETERS] = {0.3f, -2, 1, -0.2f, 4, -3};
	double		sums[2] = {0, 0};
	float		found[2];
	float		extremes[2];
	double		min = INFINITY;
	double		most = -INFINITY;
	double		error = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		kind[i] = draw_below(3);
		a->x[i] = 2 * draw() - 1;
		if (kind[i] == PAIR_POSITIVE)
			min = fmin(min, a->x[i]);
		if (kind[i] == PAIR_NEGATIVE)
			most = fmax(most, a->x[i]);
	}
	loops->extremes(a->x, kind, n, &extremes[0], &extremes[1]);
	if (extremes[0] != min || extremes[1] != most)
		return INFINITY;
	loops->pair_weights(a->y, a->x, kind, n, p, found);
	for (i = 0; i < n; i++)
	{
		double		s = a->x[i];
		double		expected = 0;

		if (kind[i] == PAIR_POSITIVE && a->x[i] < p[0])
			expected = exp(-2 * s + 1);
		if (kind[i] == PAIR_NEGATIVE && a->x[i] > p[3])
			expected = exp(4 * s - 3);
		if (kind[i] != PAIR_SELF)
			sums[kind[i] == PAIR_POSITIVE ? 0 : 1] += expected;
		error = fmax(error, fabs(a->y[i] - expected) / 20);
	}
	loops->pair_gradient(a->z, a->y, kind, n, -0.5f, 2.0f);
	for (i = 0; i < n; i++)
		if (a->z[i] != (kind[i] == PAIR_POSITIVE ? -0.5f : 2.0f) * a->y[i])
			return INFINITY;
	return fmax(error, fmax(fabs(found[0] - sums[0]), fabs(found[1] - sums[1])) / (1 + sums[0] + sums[1]));
}

static void
check_loops(const VectorLoops *loops)
{
	static const struct
	{
		const char *name;
		double		(*try) (const VectorLoops *loops, Arrays *arrays, int n);
	}			tries[] = {
		{"dot", try_dot}, {"max", try_max}, {"add_scaled, bias_relu, mask_relu", try_simple},
		{"sgd, adam, combine, rotate", try_optimizers}, {"add_rows", try_rows}, {"pairs", try_pairs}
	};
	size_t		i;
	int			n;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
	{
		double		worst = 0;

		for (n = 0; n <= MAX_LENGTH; n++)
		{
			Arrays		arrays;

			fill_arrays(&arrays, n);
			worst = fmax(worst, tries[i].try(loops, &arrays, n));
			worst = fmax(worst, guarded(&arrays, n));
		}
		check(worst < 2e-6, "%s: %s, lengths 0 to %d: error %.1e, tolerance 2e-06", loops->name, tries[i].name, MAX_LENGTH, worst);
	}
}

/* The same of rows so long that they are read side by side; what lies behind the outputs stays. */
static void
check_long_rows(const VectorLoops *loops)
{
	double		worst = 0;
	bool		intact = true;
	int			trial;

	for (trial = 0; trial < 60; trial++)
	{
		int			n = 240 + draw_below(400);
		int			count = draw_below(31);
		bool		chosen = draw() < 0.5;
		float	   *matrix = ALLOCATE(float, 30 * (n + 3));
		float	   *y = ALLOCATE(float, n + 20);
		float		x[30];
		int32_t		index[30];
		int			i;
		int			j;

		for (i = 0; i < 30; i++)
		{
			x[i] = draw_normal();
			index[i] = draw_below(30);
		}
		for (i = 0; i < 30 * (n + 3); i++)
			matrix[i] = draw_normal();
		for (j = 0; j < n + 20; j++)
			y[j] = j;
		loops->add_rows(y, matrix, n + 3, n, x, chosen ? index : NULL, count);
		for (j = 0; j < n; j++)
		{
			double		sum = j;

			for (i = 0; i < count; i++)
				sum += (double) x[i] * matrix[(chosen ? index[i] : i) * (n + 3) + j];
			worst = fmax(worst, fabs(y[j] - sum) / (10 + j));
		}
		for (; j < n + 20; j++)
			intact &= y[j] == j;
		free_all();
	}
	check(worst < 2e-6 && intact, "%s: add_rows, lengths 240 to 639: error %.1e, tolerance 2e-06", loops->name, worst);
}

/* tanh over its whole range, in units of the result's last place. */
static void
check_tanh(const VectorLoops *loops)
{
	float		x[1000];
	float		y[1000];
	double		worst = 0;
	int			i;
	int			j;

	for (j = 0; j < 100; j++)
	{
		for (i = 0; i < 1000; i++)
			x[i] = (j % 2 ? 1 : -1) * exp(-20 + 24 * draw());
		loops->tanh_scaled(y, 1, x, 1000);
		for (i = 0; i < 1000; i++)
			worst = fmax(worst, fabs(y[i] - tanh(x[i])) / (fabs(tanh(x[i])) * 0x1p-24));
	}
	check(worst < 6, "%s: tanh: %.1f half units in the last place, tolerance 6", loops->name, worst);
	x[0] = NAN;
	x[1] = INFINITY;
	x[2] = -INFINITY;
	x[3] = 0;
	x[4] = 1e30f;
	loops->tanh_scaled(y, 1, x, 5);
	check(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && y[4] == 1,
		  "%s: tanh of NaN, infinities, 0 and 1e30", loops->name);
}

/* exp((y·factor − 1) / width), as kernels have it, in units of the result's last place; the exponent's rounding apart. */
static void
check_rbf(const VectorLoops *loops)
{
	float		y[37];
	float		width[37];
	float		before[37];
	double		worst = 0;
	int			trial;
	int			i;

	for (trial = 0; trial < 1000; trial++)
	{
		int			n = draw_below(38);
		float		factor = exp(4 * draw_normal());

		for (i = 0; i < n; i++)
		{
			before[i] = y[i] = (2 * draw() - 1) / factor;
			width[i] = exp(2 * draw_normal());
		}
		loops->rbf(y, factor, width, n);
		for (i = 0; i < n; i++)
		{
			double		exponent = ((double) before[i] * factor - 1) / width[i];
			double		expected = exp(exponent);
			double		roundings = 4 + 6 / width[i];

			if (exponent > -86)
				worst = fmax(worst, fabs(y[i] - expected) / (expected * 0x1p-24 * roundings));
		}
	}
	check(worst > 0 && worst < 1, "%s: rbf: %.2f of the roundings that network_bound.c allows, tolerance 1", loops->name, worst);
	y[0] = -1;
	y[1] = NAN;
	width[0] = 1e-3f;
	width[1] = 1;
	loops->rbf(y, 1, width, 2);
	check(y[0] == 0 && isnan(y[1]), "%s: rbf that vanishes, and of NaN", loops->name);
}

/* --------------------------------------------------------------- products */

static void
try_product(int m, int n, int k, bool ta, bool tb, double *worst)
{
	int			extra = draw_below(4);
	int			a_stride = (ta ? m : k) + extra;
	int			b_stride = (tb ? k : n) + extra;
	int			c_stride = n + extra;
	float	   *a = draw_matrix(ta ? k : m, a_stride, 1);
	float	   *b = draw_matrix(tb ? n : k, b_stride, 1);
	float	   *c = draw_matrix(m, c_stride, 1);
	float	   *before = ALLOCATE(float, (size_t) m * c_stride);
	float		beta = draw_below(3) * 0.5f;
	int			i;
	int			j;
	int			l;

	memcpy(before, c, (size_t) m * c_stride * sizeof(float));
	if (beta == 0)
		c[0] = NAN;				/* must not be read */
	blas_product(&env, ta, tb, m, n, k, 1.5f, a, a_stride, b, b_stride, beta, c, c_stride);
	for (i = 0; i < m; i++)
		for (j = 0; j < c_stride; j++)
		{
			double		sum = 0;

			for (l = 0; l < k && j < n; l++)
				sum += (double) (ta ? a[l * a_stride + i] : a[i * a_stride + l]) * (tb ? b[j * b_stride + l] : b[l * b_stride + j]);
			sum = j < n ? 1.5 * sum + beta * before[i * c_stride + j] : before[i * c_stride + j];
			*worst = fmax(*worst, isnan(c[i * c_stride + j]) ? INFINITY : fabs(c[i * c_stride + j] - sum) / (1 + sqrt(k)));
		}
	free_all();
}

static void
check_products(const char *what)
{
	double		worst = 0;
	int			i;

	for (i = 0; i < 200; i++)
		try_product(1 + draw_below(40), 1 + draw_below(40), 1 + draw_below(60), i & 1, i & 2, &worst);
	check(worst < 3e-6, "products %s, 200 random shapes: error %.1e, tolerance 3e-06", what, worst);
}

/* A product over several slices, at one thread and at two: right, and interrupted between. */
static void
check_slices(void)
{
	int			m = 1500;
	int			n = 900;
	int			k = 1000;		/* 2.7 GFLOP */
	float	   *a = draw_matrix(m, k, 1);
	float	   *b = draw_matrix(k, n, 1);
	float	   *c = ALLOCATE(float, (size_t) m * n);
	float	   *again = ALLOCATE(float, (size_t) m * n);
	int			threads;

	for (threads = 1; threads <= 2; threads++)
	{
		double		worst = 0;
		long		before = interrupts;
		int			i;

		blas_set_threads(threads);
		blas_product(&env, false, false, m, n, k, 1, a, k, b, n, 0, c, n);
		for (i = 0; i < 2000; i++)
		{
			int			row = i < 500 ? m - 1 - i : draw_below(m);
			int			column = draw_below(n);
			double		sum = 0;
			int			l;

			for (l = 0; l < k; l++)
				sum += (double) a[(size_t) row * k + l] * b[(size_t) l * n + column];
			worst = fmax(worst, fabs(c[(size_t) row * n + column] - sum));
		}
		blas_product(&env, false, false, m, n, k, 1, a, k, b, n, 0, again, n);
		check(memcmp(c, again, (size_t) m * n * sizeof(float)) == 0, "%d threads: the same bits again", threads);
		check(worst < 1e-4 && interrupts - before >= 2, "a sliced product, %d threads: error %.1e, %ld interrupt checks",
			  threads, worst, interrupts - before);
	}
	blas_set_threads(1);
	free_all();
}

/* The mask of blocked signals of one of this process's threads, from /proc. */
static unsigned long long
blocked_signals(const char *task)
{
	unsigned long long blocked = 0;
	char		line[300];
	FILE	   *file;

	snprintf(line, sizeof(line), "/proc/self/task/%s/status", task);
	file = fopen(line, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "SigBlk: %llx", &blocked);
	if (file != NULL)
		fclose(file);
	return blocked;
}

/* The threads for BLAS must never run a handler: they have every signal blocked. */
static void
check_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGPIPE};
	DIR		   *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int			threads = 0;
	int			open = 0;
	size_t		i;

	if (tasks == NULL)
	{
		printf("skipped the threads' signal masks: no /proc here\n");
		return;
	}
	while ((task = readdir(tasks)) != NULL)
	{
		unsigned long long blocked = blocked_signals(task->d_name);

		if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
			continue;
		threads++;
		for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
			open += (blocked >> (signals[i] - 1) & 1) == 0;
	}
	closedir(tasks);
	check((threads == 2 || blas_max_threads() == 1) && open == 0, "%d threads for BLAS beside this one, %d signals open in them", threads, open);
}

/* ---------------------------------------------------------- random numbers */

static void
check_random(void)
{
	RandomKey	key = random_key(test_seed, 3, 4, RANDOM_SHUFFLE);
	int			n = 100000;
	int32_t    *whole = ALLOCATE(int32_t, n);
	int32_t    *parts = ALLOCATE(int32_t, n);
	uint8_t    *seen = ALLOCATE(uint8_t, n);
	double		sum = 0;
	double		squares = 0;
	double		fixed = 0;
	bool		distinct = true;
	int			i;

	for (i = 0; i < n; i++)
	{
		double		u = random_uniform(key, i);
		float		filled[3];

		random_fill(key, i, filled, 3);
		distinct &= u >= 0 && u < 1 && filled[0] == u && filled[2] == random_uniform(key, i + 2);
		sum += u;
		squares += u * u;
		parts[i] = i;
	}
	check(distinct && fabs(sum / n - 0.5) < 0.005 && fabs(squares / n - 1.0 / 3) < 0.005,
		  "100,000 uniform numbers in [0, 1): mean %.4f, of squares %.4f", sum / n, squares / n);
	random_permutation(key, whole, n);
	for (i = 0; i < n; i++)
	{
		distinct &= whole[i] >= 0 && whole[i] < n && !seen[whole[i]];
		seen[whole[i]] = 1;
		fixed += whole[i] == i;
	}
	check(distinct && fixed < 20, "a permutation of 100,000: each once, %.0f in place", fixed);
	for (i = n; i > 0; i -= 777)
		random_shuffle(key, parts, i > 777 ? i - 777 : 0, i);
	check(memcmp(whole, parts, n * sizeof(int32_t)) == 0, "shuffled in instalments: the same permutation");
	free_all();
}

/* Each position of a short permutation is uniform. */
static void
check_uniform(void)
{
	int			counts[6][6] = {{0}};
	double		worst = 0;
	int			n = 60000;
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		int32_t		permutation[6];

		random_permutation(random_key(test_seed, i, 0, RANDOM_SHUFFLE), permutation, 6);
		for (j = 0; j < 6; j++)
			counts[j][permutation[j]]++;
	}
	for (i = 0; i < 36; i++)
		worst = fmax(worst, fabs(counts[i / 6][i % 6] - n / 6.0) / sqrt(n * 5 / 36.0));
	check(worst < 4.5, "60,000 permutations of 6: largest deviation of a cell %.1f sigma, tolerance 4.5", worst);
}

/* Neighbouring seeds, epochs, steps and purposes give unrelated streams. */
static void
check_keys(void)
{
	RandomKey	keys[] = {
		random_key(1, 0, 0, RANDOM_SHUFFLE), random_key(2, 0, 0, RANDOM_SHUFFLE), random_key(1, 1, 0, RANDOM_SHUFFLE),
		random_key(1, 0, 1, RANDOM_SHUFFLE), random_key(1, 0, 0, RANDOM_FIT_SAMPLE), random_key(0, 1, 0, RANDOM_SHUFFLE)
	};
	double		worst = 0;
	int			n = 20000;
	int			i;
	int			j;
	int			l;

	for (i = 0; i < 6; i++)
		for (j = 0; j < i; j++)
		{
			double		product = 0;

			for (l = 0; l < n; l++)
				product += (random_uniform(keys[i], l) - 0.5) * (random_uniform(keys[j], l) - 0.5);
			worst = fmax(worst, fabs(product / n * 12 * sqrt(n)));
		}
	check(worst < 4.5, "streams of neighbouring keys: largest correlation %.1f sigma, tolerance 4.5", worst);
}

int
main(int argc, char **argv)
{
	const VectorLoops *loops[4];
	int			count = vector_available(loops, 4);
	int			i;

	printf("numeric: without BLAS first\n");
	test_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	check(!blas_loaded(), "BLAS is not loaded before it is asked for");
	check_products("by plain loops");
	start("numeric", argc, argv);
	printf("%s\n", blas_version());
	check_products("by OpenBLAS");
	check_slices();
	blas_set_threads(3);
	check_signals();
	blas_set_threads(1);
	for (i = 0; i < count; i++)
	{
		check_loops(loops[i]);
		check_long_rows(loops[i]);
		check_tanh(loops[i]);
		check_rbf(loops[i]);
	}
	check_random();
	check_uniform();
	check_keys();
	return finish("numeric");
}
