/*
 * bench_encode.c [THREADS]: microseconds to encode one row of 1280 features to
 * 64 bits, against one cblas_sgemv of that size; and with a hidden layer of
 * 4096, rows in batches against rows alone, beside what bounds the two: the
 * products' speed, and the speed at which the weights can be read.
 *
 *	cc -O3 -Iinclude test/bench/bench_encode.c src/core/*.c -ldl -lm -lpthread
 */
#define _GNU_SOURCE
#include "core/blas.h"
#include "core/network.h"
#include "core/random.h"
#include "core/vector.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUTS 1280
#define BITS 64
#define ROWS 1000

typedef void (*Sgemv) (int order, int transpose, int m, int n, float alpha, const float *a, int stride,
					   const float *x, int step_x, float beta, float *y, int step_y);

static void *
allocate(void *arena, size_t bytes)
{
	void	   *memory;

	(void) arena;
	if (posix_memalign(&memory, 64, bytes + 1) != 0)
		abort();
	return memset(memory, 0, bytes);
}

static void
interrupt(void)
{
}

static const CoreEnv env = {allocate, NULL, interrupt};

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	double		difference = *(const double *) a - *(const double *) b;

	return (difference > 0) - (difference < 0);
}

static void
fill(float *to, size_t count, double bound, int stream)
{
	RandomKey	key = random_key(1, stream, 0, RANDOM_VALIDATION);
	size_t		i;

	for (i = 0; i < count; i++)
		to[i] = bound * (2 * random_uniform(key, i) - 1);
}

static Network
make_network(int inputs, int units, int bits)
{
	Network		network;
	HiddenLayers hidden = network_hidden(units);

	network_layout(&network, inputs, &hidden, bits, NULL, &env);
	fill(network.layer[0].weight, network_parameters(inputs, &hidden, bits), 0.03, units);
	network_prepare(&env, &network);
	return network;
}

static void
one_row(Sgemv sgemv, const float *rows)
{
	Network		network = make_network(INPUTS, 0, BITS);
	float	   *outputs = allocate(NULL, BITS * sizeof(float));
	uint8_t		code[BITS / 8];
	double		encode[101];
	double		product[101];
	int			i;
	int			j;

	for (i = 0; i < 101; i++)
	{
		double		start = now();

		for (j = 0; j < 100; j++)
		{
			Features	features = {1, INPUTS, rows + (size_t) j * INPUTS, NULL, NULL, NULL};

			network_encode(&env, &network, &features, NULL, outputs, code);
		}
		encode[i] = (now() - start) / 100;
		start = now();
		for (j = 0; j < 100; j++)
			sgemv(101, 112, INPUTS, BITS, 1, network.layer[0].weight, BITS, rows + (size_t) j * INPUTS, 1, 0, outputs, 1);
		product[i] = (now() - start) / 100;
	}
	qsort(encode, 101, sizeof(double), compare);
	qsort(product, 101, sizeof(double), compare);
	printf("one row 1280 -> 64: encode %.1f us, sgemv %.1f us, ratio %.2f\n", encode[50] * 1e6,
		   product[50] * 1e6, encode[50] / product[50]);
}

/* Wall-clock and processor seconds of one measurement. */
typedef struct Cost
{
	double		wall;
	double		processor;
} Cost;

static Cost
cost_now(void)
{
	struct timespec time;
	Cost		cost = {now(), 0};

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	cost.processor = time.tv_sec + 1e-9 * time.tv_nsec;
	return cost;
}

#define ROUNDS 9

/* The kinds of work that are compared, interleaved within each round. */
enum
{
	ALONE,						/* rows one by one */
	BATCH,						/* the same rows at once */
	FORWARD,					/* without the bits that are recomputed in double, and packing */
	PRODUCT,					/* nothing but the two products, by sgemm as it is */
	STREAM,						/* reading the weights once: what a row alone cannot be faster than */
	KINDS
};

static float sink;

static void
run(int kind, const Network *network, const Features *features, float *scratch, float *outputs,
	uint8_t *codes)
{
	const Layer *first = &network->layer[0];
	const Layer *last = &network->layer[network->layers - 1];
	int			i;

	switch (kind)
	{
		case ALONE:
			for (i = 0; i < features->rows; i++)
			{
				Features	row = {1, features->columns, features->dense + (size_t) i * features->columns, NULL, NULL, NULL};

				network_encode(&env, network, &row, scratch, outputs, codes);
			}
			break;
		case BATCH:
			network_encode(&env, network, features, scratch, outputs, codes);
			break;
		case FORWARD:
			network_forward(&env, network, features, scratch, outputs);
			break;
		case PRODUCT:
			blas_product(&env, false, false, features->rows, first->outputs, first->inputs, 1,
						 features->dense, first->inputs, first->weight, first->outputs, 0, scratch, first->outputs);
			blas_product(&env, false, false, features->rows, last->outputs, last->inputs, 1,
						 scratch, last->inputs, last->weight, last->outputs, 0, outputs, last->outputs);
			break;
		case STREAM:
			for (i = 0; i < features->rows; i++)
				sink += vector_loops()->dot(first->weight, first->weight, (size_t) first->inputs * first->outputs);
			break;
	}
}

/*
 * A batch against rows alone.  A row alone takes 2 operations for each weight
 * of 4 bytes, so at bandwidth b it runs at b/2 operations a second; a batch
 * runs at most at the products' speed p: p / (b/2) bounds what batches gain.
 */
static void
batch(int inputs, int hidden, int bits, int threads)
{
	Network		network = make_network(inputs, hidden, bits);
	float	   *rows = allocate(NULL, (size_t) ROWS * inputs * sizeof(float));
	float	   *scratch = allocate(NULL, (size_t) ROWS * hidden * sizeof(float));
	float	   *outputs = allocate(NULL, (size_t) ROWS * bits * sizeof(float));
	uint8_t    *codes = allocate(NULL, ROWS * (size_t) bits);
	double		weights = (double) inputs * hidden + (double) hidden * bits;
	double		wall[KINDS][ROUNDS];
	double		processor[KINDS][ROUNDS];
	double		ratio[ROUNDS];
	int			kind;
	int			round;

	blas_set_threads(threads);
	fill(rows, (size_t) ROWS * inputs, 1, 1);
	for (round = 0; round < ROUNDS; round++)
	{
		for (kind = 0; kind < KINDS; kind++)
		{
			Features	features = {ROWS, inputs, rows, NULL, NULL, NULL};
			Cost		start;
			Cost		end;

			if (kind == ALONE || kind == STREAM)
				features.rows = 20;
			start = cost_now();
			run(kind, &network, &features, scratch, outputs, codes);
			end = cost_now();
			wall[kind][round] = (end.wall - start.wall) / features.rows;
			processor[kind][round] = (end.processor - start.processor) / features.rows;
		}
		ratio[round] = wall[ALONE][round] / wall[BATCH][round];
	}
	for (kind = 0; kind < KINDS; kind++)
	{
		qsort(wall[kind], ROUNDS, sizeof(double), compare);
		qsort(processor[kind], ROUNDS, sizeof(double), compare);
	}
	qsort(ratio, ROUNDS, sizeof(double), compare);
#define MIDDLE(kind) wall[kind][ROUNDS / 2]
#define FASTEST(kind) wall[kind][0]
	printf("%d -> %d -> %d (%.0f MB), %d threads, microseconds a row, median (best; processor):\n"
		   "  alone %.0f (%.0f; %.0f), in a batch %.1f (%.1f; %.1f), forward pass %.1f, products %.1f, reading the weights %.0f\n"
		   "  batch against alone: %.1f x (rounds %.1f to %.1f; best against best %.1f; processor %.1f)\n"
		   "  alone %.1f GB/s of %.1f, batch %.0f GFLOP/s of %.0f: bound %.1f x (best against best %.1f)\n",
		   inputs, hidden, bits, 4e-6 * weights, threads,
		   1e6 * MIDDLE(ALONE), 1e6 * FASTEST(ALONE), 1e6 * processor[ALONE][ROUNDS / 2],
		   1e6 * MIDDLE(BATCH), 1e6 * FASTEST(BATCH), 1e6 * processor[BATCH][ROUNDS / 2],
		   1e6 * MIDDLE(FORWARD), 1e6 * MIDDLE(PRODUCT), 1e6 * MIDDLE(STREAM),
		   ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1], FASTEST(ALONE) / FASTEST(BATCH),
		   processor[ALONE][ROUNDS / 2] / processor[BATCH][ROUNDS / 2],
		   4e-9 * weights / FASTEST(ALONE), 4e-9 * inputs * hidden / FASTEST(STREAM),
		   2e-9 * weights / FASTEST(BATCH), 2e-9 * weights / FASTEST(PRODUCT),
		   MIDDLE(ALONE) / MIDDLE(PRODUCT), FASTEST(ALONE) / FASTEST(PRODUCT));
	fflush(stdout);
}

int
main(int count, char **argument)
{
	char		message[200];
	float	   *rows = allocate(NULL, (size_t) ROWS * INPUTS * sizeof(float));
	Sgemv		sgemv;
	int			threads;

	if (blas_load(NULL, message, sizeof(message)) != BLAS_LOADED)
	{
		printf("%s\n", message);
		return 1;
	}
	printf("%s\n", blas_version());
	sgemv = (Sgemv) dlsym(dlopen("libopenblas.so.0", RTLD_NOW), "cblas_sgemv");
	fill(rows, (size_t) ROWS * INPUTS, 1, 1);
	one_row(sgemv, rows);
	for (threads = 1; threads <= (count > 1 ? atoi(argument[1]) : 2); threads *= 2)
	{
		batch(INPUTS, 4096, BITS, threads);
		batch(4096, 4096, 1024, threads);
	}
	return 0;
}
