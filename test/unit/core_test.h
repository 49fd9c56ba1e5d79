/*
 * core_test.h: what the unit tests of the numeric core share: an arena, checks,
 * random data, a training set in memory, and a network's forward in double.
 */
#ifndef CORE_TEST_H
#define CORE_TEST_H

#include "core/method_dmsh_ln.h"
#include "core/method_jdsh.h"
#include "core/processors.h"
#include "core/threads.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED __attribute__((unused))

static int	passed;
static int	failed;
static uint64_t test_seed = 1;
static uint64_t test_draws;

/* ------------------------------------------------------------------ arena */

typedef struct Block
{
	struct Block *next;
	void	   *memory;
} Block;

static Block *blocks;
static size_t allocated;
static long interrupts;

static void *
test_allocate(void *arena UNUSED, size_t bytes)
{
	Block	   *block = malloc(sizeof(Block));

	if (block == NULL || posix_memalign(&block->memory, 64, bytes > 0 ? bytes : 1) != 0)
		abort();
	memset(block->memory, 0, bytes);
	block->next = blocks;
	blocks = block;
	allocated += bytes;
	return block->memory;
}

static void
test_interrupt(void)
{
	interrupts++;
}

static const CoreEnv env = {test_allocate, NULL, test_interrupt};

static UNUSED void
free_all(void)
{
	while (blocks != NULL)
	{
		Block	   *block = blocks;

		blocks = block->next;
		free(block->memory);
		free(block);
	}
	allocated = 0;
}

#define ALLOCATE(type, count) ((type *) test_allocate(NULL, (size_t) (count) * sizeof(type)))

/* ----------------------------------------------------------------- checks */

static UNUSED __attribute__((format(printf, 2, 3))) bool
check(bool right, const char *format,...)
{
	va_list		arguments;

	*(right ? &passed : &failed) += 1;
	printf("%s: ", right ? "passed" : "FAILED");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	return right;
}

/* The largest |a − b|, relative to the largest |b|. */
static UNUSED double
relative_error(const float *a, const double *b, size_t count)
{
	double		error = 0;
	double		scale = 0;
	size_t		i;

	for (i = 0; i < count; i++)
	{
		double		difference = fabs(a[i] - b[i]);

		if (!(difference <= error))
			error = difference; /* a NaN stays */
		if (fabs(b[i]) > scale)
			scale = fabs(b[i]);
	}
	return scale > 0 ? error / scale : error;
}

static UNUSED void
start(const char *name, int argc, char **argv)
{
	char		message[512];

	if (argc > 1)
		test_seed = strtoull(argv[1], NULL, 10);
	printf("%s: seed %llu\n", name, (unsigned long long) test_seed);
	if (blas_load(getenv("XMHASH_BLAS"), message, sizeof(message)) != BLAS_LOADED)
	{
		printf("FAILED: %s\n", message);
		exit(1);
	}
	blas_set_threads(1);
}

static UNUSED int
finish(const char *name)
{
	free_all();
	printf("%s: %d passed, %d failed\n", name, passed, failed);
	return failed > 0;
}

/* ------------------------------------------------------------ random data */

static UNUSED double
draw(void)
{
	RandomKey	key = random_key(test_seed, 77, 0, RANDOM_VALIDATION);

	return random_uniform(key, test_draws++);
}

static UNUSED double
draw_normal(void)
{
	return sqrt(-2 * log(1 - draw())) * cos(6.283185307179586 * draw());
}

static UNUSED int
draw_below(int n)
{
	int			i = (int) (draw() * n);

	return i < n ? i : n - 1;
}

static UNUSED float *
draw_matrix(int rows, int columns, double density)
{
	float	   *matrix = ALLOCATE(float, (size_t) rows * columns);
	size_t		i;

	for (i = 0; i < (size_t) rows * columns; i++)
		if (density >= 1 || draw() < density)
			matrix[i] = draw_normal();
	return matrix;
}

/* ----------------------------------------------------------- feature rows */

/* Rows of a dense matrix as features, dense or sparse. */
static UNUSED Features
make_features(const float *matrix, const int32_t *chosen, int rows, int columns, bool sparse)
{
	Features	features = {0};
	float	   *dense = ALLOCATE(float, (size_t) rows * columns);
	int32_t    *row_start = ALLOCATE(int32_t, rows + 1);
	int32_t    *column = ALLOCATE(int32_t, (size_t) rows * columns);
	float	   *value = ALLOCATE(float, (size_t) rows * columns);
	int			entries = 0;
	int			i;
	int			j;

	for (i = 0; i < rows; i++)
	{
		const float *from = matrix + (size_t) (chosen != NULL ? chosen[i] : i) * columns;

		memcpy(dense + (size_t) i * columns, from, columns * sizeof(float));
		for (j = 0; j < columns; j++)
			if (from[j] != 0)
			{
				column[entries] = j;
				value[entries++] = from[j];
			}
		row_start[i + 1] = entries;
	}
	features.rows = rows;
	features.columns = columns;
	if (sparse)
	{
		features.row_start = row_start;
		features.column = column;
		features.value = value;
	}
	else
		features.dense = dense;
	return features;
}

/* A training set in memory. */
typedef struct TrainingSet
{
	BatchSource source;
	float	   *image;
	float	   *text;
	uint8_t    *labels;
	uint8_t    *batch_labels;
} TrainingSet;

static UNUSED void
set_fetch(void *context, const int32_t *rows, int count, Features *image, Features *text, const uint8_t **labels)
{
	TrainingSet *set = context;
	int			classes = set->source.classes;
	int			i;

	*image = make_features(set->image, rows, count, set->source.image_columns, set->source.image_sparse);
	*text = make_features(set->text, rows, count, set->source.text_columns, set->source.text_sparse);
	if (labels == NULL)
		return;
	set->batch_labels = ALLOCATE(uint8_t, (size_t) count * classes);
	for (i = 0; i < count; i++)
		memcpy(set->batch_labels + (size_t) i * classes, set->labels + (size_t) rows[i] * classes, classes);
	*labels = set->batch_labels;
}

/*
 * Random pairs whose sides have something in common, so that training has
 * something to learn; sparse sides are mostly zero, no row wholly.
 */
static UNUSED TrainingSet *
make_set(int rows, int image_columns, bool image_sparse, int text_columns, bool text_sparse, int classes)
{
	TrainingSet *set = ALLOCATE(TrainingSet, 1);
	int			i;
	int			j;

	set->image = draw_matrix(rows, image_columns, image_sparse ? .3 : 1);
	set->text = draw_matrix(rows, text_columns, text_sparse ? .3 : 1);
	set->labels = ALLOCATE(uint8_t, (size_t) rows * (classes + 1));
	for (i = 0; i < rows; i++)
	{
		int			kind = draw_below(classes > 0 ? classes : 4);

		set->image[(size_t) i * image_columns + kind % image_columns] += 2;
		set->text[(size_t) i * text_columns + kind % text_columns] += 2;
		for (j = 0; j < classes; j++)
			set->labels[(size_t) i * classes + j] = j == kind || draw() < .1;
	}
	set->source.rows = rows;
	set->source.image_columns = image_columns;
	set->source.text_columns = text_columns;
	set->source.image_sparse = image_sparse;
	set->source.text_sparse = text_sparse;
	set->source.classes = classes;
	set->source.fetch = set_fetch;
	set->source.context = set;
	return set;
}

/* --------------------------------------------- a network's forward, in double */

/* A copy of a network's parameters in double, laid out alike. */
typedef struct Exact
{
	const Network *network;
	double	   *parameters;
} Exact;

static size_t
network_size(const Network *network)
{
	size_t		count = 0;
	int			l;

	for (l = 0; l < network->layers; l++)
		count += ((size_t) network->layer[l].inputs + 1) * network->layer[l].outputs;
	return count;
}

static UNUSED Exact
exact_copy(const Network *network)
{
	Exact		exact;
	size_t		count = network_size(network);
	size_t		i;

	exact.network = network;
	exact.parameters = ALLOCATE(double, count);
	for (i = 0; i < count; i++)
		exact.parameters[i] = network->layer[0].weight[i];
	return exact;
}

static UNUSED void
exact_layer(const double *weight, int inputs, int outputs, const double *x, bool relu, double *y)
{
	int			i;
	int			k;

	for (k = 0; k < outputs; k++)
	{
		y[k] = weight[(size_t) inputs * outputs + k];
		for (i = 0; i < inputs; i++)
			y[k] += x[i] * weight[(size_t) i * outputs + k];
		if (relu && y[k] < 0)
			y[k] = 0;
	}
}

/* 1/‖x‖ of inputs x; 1 without a kernel. */
static UNUSED double
exact_factor(const Network *network, const double *x)
{
	double		square = 0;
	int			i;

	if (network->kernel == KERNEL_NONE)
		return 1;
	for (i = 0; i < network->inputs; i++)
		square += x[i] * x[i];
	return sqrt(square) < NETWORK_MIN_LENGTH ? 0 : 1 / sqrt(square);
}

/* g [anchors] of a unit row: the layer's weights are the anchors, its biases the widths. */
static UNUSED void
exact_rbf(const double *weight, int inputs, int anchors, const double *u, double *g)
{
	int			i;
	int			j;

	for (j = 0; j < anchors; j++)
	{
		double		dot = 0;

		for (i = 0; i < inputs; i++)
			dot += u[i] * weight[(size_t) i * anchors + j];
		g[j] = exp((dot - 1) / weight[(size_t) inputs * anchors + j]);
	}
}

/* H of the rows of a dense matrix. */
static UNUSED void
exact_forward(const Exact *exact, const float *matrix, const int32_t *chosen, int rows, double *outputs)
{
	const Network *network = exact->network;
	double	   *x[2];
	int			widest = network->inputs > network->units ? network->inputs : network->units;
	int			i;
	int			j;
	int			l;

	for (l = 0; l < 2; l++)
		x[l] = malloc(widest * sizeof(double));
	for (i = 0; i < rows; i++)
	{
		const double *parameters = exact->parameters;
		double		factor;

		for (j = 0; j < network->inputs; j++)
			x[0][j] = matrix[(size_t) (chosen != NULL ? chosen[i] : i) * network->inputs + j];
		factor = exact_factor(network, x[0]);
		for (j = 0; j < network->inputs; j++)
			x[0][j] *= factor;
		for (l = 0; l < network->layers; l++)
		{
			const Layer *layer = &network->layer[l];
			bool		last = l == network->layers - 1;

			if (!last && network->kernel == KERNEL_RBF)
				exact_rbf(parameters, layer->inputs, layer->outputs, x[0], x[1]);
			else
				exact_layer(parameters, layer->inputs, layer->outputs, x[l % 2], !last,
							last ? outputs + (size_t) i * network->outputs : x[(l + 1) % 2]);
			parameters += ((size_t) layer->inputs + 1) * layer->outputs;
		}
	}
	free(x[0]);
	free(x[1]);
}

/* c [m × m]: cosines between the rows of tanh(a·H) and of tanh(b·G), all [m × K]. */
static UNUSED void
exact_cosines(const double *h, double a, const double *g, double b, int rows, int bits, double *c)
{
	int			i;
	int			j;
	int			k;

	for (i = 0; i < rows; i++)
		for (j = 0; j < rows; j++)
		{
			double		dot = 0;
			double		left = 0;
			double		right = 0;

			for (k = 0; k < bits; k++)
			{
				double		x = tanh(a * h[i * bits + k]);
				double		y = tanh(b * g[j * bits + k]);

				dot += x * y;
				left += x * x;
				right += y * y;
			}
			c[i * rows + j] = left > 0 && right > 0 ? dot / sqrt(left * right) : 0;
		}
}

#endif							/* CORE_TEST_H */
