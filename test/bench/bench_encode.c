/*
 * bench_encode.c: microseconds to encode one row of 1280 features to 64 bits,
 * against one cblas_sgemv of that size; and rows a second in batches, linear
 * and with a hidden layer of 4096, against rows alone and against the products
 * only (the rest is the bits that are settled in double, and packing).
 *
 *	cc -O3 -Iinclude test/bench/bench_encode.c src/numeric_*.c src/network_*.c -ldl -lm -lpthread
 */
#define _GNU_SOURCE
#include "network.h"

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

static const Surroundings surroundings = {allocate, NULL, interrupt};

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
make_network(int hidden)
{
	Network		network;

	network_layout(&network, INPUTS, hidden, BITS, NULL, &surroundings);
	fill(network.layer[0].weight, network_parameters(INPUTS, hidden, BITS), 0.03, hidden);
	network_prepare(&surroundings, &network);
	return network;
}

static void
one_row(Sgemv sgemv, const float *rows)
{
	Network		network = make_network(0);
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

			network_encode(&surroundings, &network, &features, NULL, outputs, code);
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

static void
batch(int hidden, const float *rows)
{
	Network		network = make_network(hidden);
	Features	features = {ROWS, INPUTS, rows, NULL, NULL, NULL};
	float	   *scratch = allocate(NULL, (size_t) ROWS * (hidden + 1) * sizeof(float));
	float	   *outputs = allocate(NULL, (size_t) ROWS * BITS * sizeof(float));
	uint8_t    *codes = allocate(NULL, ROWS * BITS / 8);
	double		seconds[9];
	double		forward[9];
	double		alone[9];
	int			i;
	int			j;

	for (i = 0; i < 9; i++)
	{
		double		start = now();

		for (j = 0; j < 20; j++)
		{
			Features	row = {1, INPUTS, rows + (size_t) (20 * i + j) * INPUTS, NULL, NULL, NULL};

			network_encode(&surroundings, &network, &row, scratch, outputs, codes);
		}
		alone[i] = (now() - start) / 20;
		start = now();

		network_encode(&surroundings, &network, &features, scratch, outputs, codes);
		seconds[i] = now() - start;
		start = now();
		network_forward(&surroundings, &network, &features, scratch, outputs);
		forward[i] = now() - start;
	}
	qsort(seconds, 9, sizeof(double), compare);
	qsort(forward, 9, sizeof(double), compare);
	qsort(alone, 9, sizeof(double), compare);
	printf("batch of %d, hidden %d: %.0f rows a second, %.1f x as many as alone, in %.2f x the products' time\n",
		   ROWS, hidden, ROWS / seconds[4], ROWS * alone[4] / seconds[4], seconds[4] / forward[4]);
}

int
main(void)
{
	char		message[200];
	float	   *rows = allocate(NULL, (size_t) ROWS * INPUTS * sizeof(float));
	Sgemv		sgemv;

	if (!blas_load(message, sizeof(message)))
	{
		printf("%s\n", message);
		return 1;
	}
	sgemv = (Sgemv) dlsym(dlopen("libopenblas.so.0", RTLD_NOW), "cblas_sgemv");
	fill(rows, (size_t) ROWS * INPUTS, 1, 1);
	one_row(sgemv, rows);
	batch(0, rows);
	batch(4096, rows);
	return 0;
}
