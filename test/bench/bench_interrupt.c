/*
 * bench_interrupt.c: the longest stretch of training and encoding without a
 * look for interrupts, at the largest sizes that are promised: 4,096 features,
 * hidden layers or kernels of 4,096, 1,024 bits, batches of 1,024.
 *
 *	cc -std=gnu99 -O3 -Iinclude test/bench/bench_interrupt.c src/core/*.c -ldl -lm -lpthread
 *
 * Needs 2 GB of memory.
 *
 * usage: bench_interrupt [THREADS [COLUMNS HIDDEN BITS BATCH]]
 */
#define _GNU_SOURCE
#include "core/method_kernel_ridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int	columns = 4096;
static int	hidden = 4096;
static int	bits = 1024;
static int	batch = 1024;

/* Processor time of this thread: other processes' work is not ours to answer for. */
static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

static double last;
static double longest;

static void
interrupt(void)
{
	double		time = now();

	if (time - last > longest)
		longest = time - last;
	last = time;
}

static void *
allocate(void *arena, size_t bytes)
{
	void	   *memory = calloc(1, bytes + 64);

	(void) arena;
	if (memory == NULL)
		abort();
	return (void *) (((size_t) memory + 63) & ~(size_t) 63);
}

static const CoreEnv env = {allocate, NULL, interrupt};

/* A training set of one batch: the same rows, dense or sparse, whichever and however many are asked for. */
typedef struct Rows
{
	Features	image;
	Features	text;
	uint8_t    *labels;
} Rows;

static void
fetch(void *context, const int32_t *rows, int count, Features *image, Features *text, const uint8_t **labels)
{
	Rows	   *all = context;

	(void) rows;
	*image = all->image;
	*text = all->text;
	image->rows = text->rows = count;
	if (labels != NULL)
		*labels = all->labels;
	last = now();				/* what this took is the caller's */
}

static Features
make_rows(int stream, bool sparse)
{
	RandomKey	key = random_key(1, stream, 0, RANDOM_VALIDATION);
	float	   *dense = allocate(NULL, (size_t) batch * columns * sizeof(float));
	int32_t    *start = allocate(NULL, (batch + 1) * sizeof(int32_t));
	int32_t    *column = allocate(NULL, (size_t) batch * columns * sizeof(int32_t));
	float	   *value = allocate(NULL, (size_t) batch * columns * sizeof(float));
	Features	features = {batch, columns, NULL, NULL, NULL, NULL};
	int			entries = 0;
	int			i;
	int			j;

	for (i = 0; i < batch; i++)
	{
		for (j = 0; j < columns; j++)
		{
			float		x = random_uniform(key, (uint64_t) i * columns + j);

			dense[(size_t) i * columns + j] = x - 0.5f;
			if (x < 0.2f)		/* as dense as a sparse table may be */
			{
				column[entries] = j;
				value[entries++] = x;
			}
		}
		start[i + 1] = entries;
	}
	if (sparse)
	{
		features.row_start = start;
		features.column = column;
		features.value = value;
	}
	else
		features.dense = dense;
	return features;
}

static void
report(const char *what, double start)
{
	interrupt();
	printf("%-28s %7.2f s, longest stretch %4.0f ms\n", what, now() - start, longest * 1e3);
	fflush(stdout);
	longest = 0;
	last = now();
}

static void
measure(const char *name, bool sparse)
{
	Rows		rows;
	BatchSource source = {batch, columns, columns, 80, false, sparse, fetch, &rows};
	TrainOptions options;
	Trainer    *trainer;
	TrainLoss	loss;
	Network		network;
	float	   *outputs;
	float	   *scratch;
	double		start;
	int			i;

	rows.image = make_rows(1, false);
	rows.text = make_rows(2, sparse);
	rows.labels = allocate(NULL, (size_t) batch * 80);
	for (i = 0; i < batch; i++)
		rows.labels[i * 80 + i % 80] = 1;
	train_defaults(&options, train_method(name));
	options.bits = bits;
	options.batch_size = batch;
	options.image_hidden = options.text_hidden = hidden;
	printf("%s, %s texts\n", name, sparse ? "sparse" : "dense");
	start = last = now();
	longest = 0;
	trainer = trainer_create(&options, &source, &env);
	report("  initialisation", start);
	start = last;
	trainer_fit(trainer);
	report("  fit", start);
	start = last;
	trainer_epoch(trainer, 0, &loss);
	report("  an epoch of one step", start);
	network = *trainer_text_network(trainer);
	scratch = allocate(NULL, (size_t) batch * hidden * sizeof(float));
	outputs = allocate(NULL, (size_t) batch * bits * sizeof(float));
	start = last = now();
	longest = 0;
	network_prepare(&env, &network);
	network_encode(&env, &network, &rows.text, scratch, outputs, allocate(NULL, (size_t) batch * bits / 8));
	report("  encoding a batch", start);
}

/* Kernel ridge hashing has phases; its training set is the batch five times over. */
static void
measure_phases(bool sparse)
{
	Rows		rows;
	BatchSource source = {5 * batch, columns, columns, 80, false, sparse, fetch, &rows};
	TrainOptions options;
	Trainer    *trainer;
	TrainLoss	loss;
	double		start;
	int			i;

	rows.image = make_rows(1, false);
	rows.text = make_rows(2, sparse);
	rows.labels = allocate(NULL, (size_t) batch * 80);
	for (i = 0; i < batch; i++)
		rows.labels[i * 80 + i % 80] = 1;
	train_defaults(&options, &method_kernel_ridge);
	options.bits = bits;
	ridge_options(&options)->anchors = hidden;
	ridge_options(&options)->dimensions = 512;
	ridge_options(&options)->rotations = 5;
	printf("kernel_ridge, %s texts\n", sparse ? "sparse" : "dense");
	trainer = trainer_create(&options, &source, &env);
	for (i = 0; options.method->phases[i] != NULL; i++)
	{
		char		what[40];

		start = last = now();
		longest = 0;
		trainer_epoch(trainer, i, &loss);
		snprintf(what, sizeof(what), "  %s", options.method->phases[i]);
		report(loss.finite ? what : "  a phase that failed", start);
	}
}

int
main(int argc, char **argv)
{
	char		message[200];

	if (blas_load(NULL, message, sizeof(message)) != BLAS_LOADED)
	{
		printf("%s\n", message);
		return 1;
	}
	blas_set_threads(argc > 1 ? atoi(argv[1]) : 1);
	if (argc > 5)
	{
		columns = atoi(argv[2]);
		hidden = atoi(argv[3]);
		bits = atoi(argv[4]);
		batch = atoi(argv[5]);
	}
	measure("jdsh", false);
	measure("jdsh", true);
	measure("dmsh_ln", true);
	measure_phases(false);
	measure_phases(true);
	return 0;
}
