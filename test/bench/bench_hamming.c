/*
 * bench_hamming.c: how close the Hamming kernels come to the speed of memory.
 *
 *	cc -O3 -Iinclude test/bench/bench_hamming.c src/core/hamming*.c -o bench_hamming && ./bench_hamming [ROUNDS]
 *
 * A query that looks at every code cannot take less time than reading the
 * codes, so the yardstick is a loop that ORs all words of the same array, as
 * wide as the kernel's vectors.  Both run in turn in one process; each figure
 * is the median over the rounds, and the ratio that of the medians.  The bound
 * is the distance of the 100th nearest code: what a search looks for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/hamming.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CODES 1000000
#define MAX_WORDS 16
#define CENTRES 1000
#define MAX_ROUNDS 21
#define PAGE_SIZE 8192
#define PAGE_HEADER 24
#define PAGES 32768				/* 256 MB: far more than the caches hold */
#define MAX_KERNELS 8

/* Every result goes here, so that nothing is optimized away. */
static volatile uint64_t sink;

static uint64_t query[MAX_WORDS];
static uint64_t *codes;
static uint32_t *positions;
static uint16_t *distances;

static int	rounds = MAX_ROUNDS;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *times)
{
	qsort(times, rounds, sizeof(double), compare_doubles);
	return times[rounds / 2];
}

static uint64_t
random_word(void)
{
	static uint64_t state = 42;
	uint64_t	z = state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* ---- plain reads; `words` is a multiple of 32 ---- */

typedef uint64_t (*Read) (const uint64_t *from, size_t words);

/* The empty asm keeps the compiler from reading several words at once. */
static uint64_t
read_words(const uint64_t *from, size_t words)
{
	uint64_t	a = 0;
	uint64_t	b = 0;
	uint64_t	c = 0;
	uint64_t	d = 0;
	size_t		i;

	for (i = 0; i < words; i += 4)
	{
		a |= from[i];
		b |= from[i + 1];
		c |= from[i + 2];
		d |= from[i + 3];
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
	}
	return a | b | c | d;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t
read_avx2(const uint64_t *from, size_t words)
{
	const __m256i *v = (const __m256i *) from;
	__m256i		sum[4];
	size_t		i;
	int			j;

	for (j = 0; j < 4; j++)
		sum[j] = _mm256_setzero_si256();
	for (i = 0; i < words / 4; i += 4)
		for (j = 0; j < 4; j++)
			sum[j] = _mm256_or_si256(sum[j], _mm256_loadu_si256(v + i + j));
	sum[0] = _mm256_or_si256(_mm256_or_si256(sum[0], sum[1]), _mm256_or_si256(sum[2], sum[3]));
	return _mm256_extract_epi64(sum[0], 0) | _mm256_extract_epi64(sum[0], 1) |
		_mm256_extract_epi64(sum[0], 2) | _mm256_extract_epi64(sum[0], 3);
}

__attribute__((target("avx512f"))) static uint64_t
read_avx512(const uint64_t *from, size_t words)
{
	__m512i		sum[4];
	size_t		i;
	int			j;

	for (j = 0; j < 4; j++)
		sum[j] = _mm512_setzero_si512();
	for (i = 0; i < words; i += 32)
		for (j = 0; j < 4; j++)
			sum[j] = _mm512_or_si512(sum[j], _mm512_loadu_si512(from + i + 8 * j));
	return _mm512_reduce_or_epi64(_mm512_or_si512(_mm512_or_si512(sum[0], sum[1]),
												  _mm512_or_si512(sum[2], sum[3])));
}
#elif defined(__aarch64__)
#include <arm_neon.h>

static uint64_t
read_neon(const uint64_t *from, size_t words)
{
	uint64x2_t	sum[4];
	size_t		i;
	int			j;

	for (j = 0; j < 4; j++)
		sum[j] = vdupq_n_u64(0);
	for (i = 0; i < words; i += 8)
		for (j = 0; j < 4; j++)
			sum[j] = vorrq_u64(sum[j], vld1q_u64(from + i + 2 * j));
	sum[0] = vorrq_u64(vorrq_u64(sum[0], sum[1]), vorrq_u64(sum[2], sum[3]));
	return vgetq_lane_u64(sum[0], 0) | vgetq_lane_u64(sum[0], 1);
}
#endif

static Read
read_for(const HammingKernels *kernels)
{
#if defined(__x86_64__)
	if (kernels == &hamming_avx512)
		return read_avx512;
	if (kernels == &hamming_avx2)
		return read_avx2;
#elif defined(__aarch64__)
	if (kernels == &hamming_neon)
		return read_neon;
#endif
	return read_words;
}

/* ---- what is measured ---- */

/* The distance of the k-th nearest of `count` codes, by counting. */
static int
bound_of(int words, int count, int k)
{
	static int	histogram[HAMMING_MAX_BITS + 1];
	int			bound = -1;
	int			i;

	memset(histogram, 0, sizeof(histogram));
	hamming_scalar.distances(query, codes, words, count, distances);
	for (i = 0; i < count; i++)
		histogram[distances[i]]++;
	while (k > 0)
		k -= histogram[++bound];
	return bound;
}

static double
time_within(const HammingKernels *kernels, int words, int count, int bound, int repeat)
{
	double		start = now();
	int			i;

	for (i = 0; i < repeat; i++)
		sink += kernels->within(query, codes, words, count, bound, positions, distances);
	return (now() - start) / repeat;
}

static double
time_distances(const HammingKernels *kernels, int words, int count)
{
	double		start = now();

	kernels->distances(query, codes, words, count, distances);
	sink += distances[count - 1];
	return now() - start;
}

static double
time_read(Read read, int words, int count, int repeat)
{
	double		start = now();
	int			i;

	for (i = 0; i < repeat; i++)
		sink += read(codes, (size_t) words * count);
	return (now() - start) / repeat;
}

static void
bench_array(const HammingKernels *const *kernels, int kernel_count, int bits)
{
	int			words = bits / 64;
	int			bound = bound_of(words, CODES, 100);
	double		bytes = (double) CODES * words * 8;
	double		within[MAX_KERNELS][MAX_ROUNDS];
	double		all[MAX_KERNELS][MAX_ROUNDS];
	double		read[MAX_KERNELS][MAX_ROUNDS];
	int			r;
	int			k;
	int			turn;

	/* who comes first changes, so that nobody always finds the caches alike */
	for (r = 0; r < rounds; r++)
		for (k = 0; k < kernel_count; k++)
			for (turn = r; turn < r + 3; turn++)
			{
				if (turn % 3 == 0)
					read[k][r] = time_read(read_for(kernels[k]), words, CODES, 1);
				else if (turn % 3 == 1)
					within[k][r] = time_within(kernels[k], words, CODES, bound, 1);
				else
					all[k][r] = time_distances(kernels[k], words, CODES);
			}
	for (k = 0; k < kernel_count; k++)
	{
		double		w = median(within[k]);
		double		d = median(all[k]);
		double		t = median(read[k]);

		printf("%5d bits  %-7s within %7.3f ns/code %6.1f GB/s %6.2f x reading   distances %7.3f ns/code %6.2f x reading   reading %6.1f GB/s\n",
			   bits, kernels[k]->name, w / CODES, bytes / w, w / t, d / CODES, d / t, bytes / t);
	}
}

/* As many codes as a page of 8 kB holds with their tids, in the nearest cache. */
static void
bench_page(const HammingKernels *const *kernels, int kernel_count, int bits)
{
	const int	repeat = 2000;
	int			words = bits / 64;
	int			count = 8128 / (bits / 8 + 6);
	double		rare[MAX_KERNELS][MAX_ROUNDS];
	double		one[MAX_KERNELS][MAX_ROUNDS];
	double		every[MAX_KERNELS][MAX_ROUNDS];
	int			bound = bound_of(words, count, 1);
	int			r;
	int			k;

	for (r = 0; r < rounds; r++)
		for (k = 0; k < kernel_count; k++)
		{
			rare[k][r] = time_within(kernels[k], words, count, bound - 1, repeat);
			one[k][r] = time_within(kernels[k], words, count, bound, repeat);
			every[k][r] = time_within(kernels[k], words, count, bits, repeat);
		}
	for (k = 0; k < kernel_count; k++)
		printf("%5d bits  %-7s page of %3d codes: no hit %7.1f ns   the nearest %7.1f ns   all hits %7.1f ns\n",
			   bits, kernels[k]->name, count, median(rare[k]), median(one[k]), median(every[k]));
}

/*
 * Pages that are in memory but in no cache, in random order: with and without
 * asking for the next page's codes before those of this one are looked at.
 */
static void
bench_cold_pages(const HammingKernels *const *kernels, int kernel_count, int bits)
{
	const int	visits = 1000;
	int			words = bits / 64;
	int			count = 8128 / (bits / 8 + 6);
	size_t		bytes = (size_t) count * words * 8;
	char	   *pages = aligned_alloc(4096, (size_t) PAGES * PAGE_SIZE);
	double		times[2][MAX_KERNELS][MAX_ROUNDS];
	uint32_t	page = 0;
	int			ahead;
	int			r;
	int			k;
	int			i;

	if (pages == NULL)
	{
		printf("%5d bits  no memory for the pages that no cache holds\n", bits);
		return;
	}
	memset(pages, 0x55, (size_t) PAGES * PAGE_SIZE);
	for (r = 0; r < rounds; r++)
		for (k = 0; k < kernel_count; k++)
			for (ahead = 0; ahead < 2; ahead++)
			{
				double		start = now();

				for (i = 0; i < visits; i++)
				{
					const char *here = pages + (size_t) page * PAGE_SIZE + PAGE_HEADER;

					/* of full period: every page comes once in PAGES visits */
					page = (page * 1664525 + 1013904223) % PAGES;
					if (ahead)
						hamming_prefetch(pages + (size_t) page * PAGE_SIZE + PAGE_HEADER, bytes);
					sink += kernels[k]->within(query, (const uint64_t *) here, words, count, 0, positions, distances);
				}
				times[ahead][k][r] = (now() - start) / visits;
			}
	for (k = 0; k < kernel_count; k++)
	{
		double		without = median(times[0][k]);
		double		with = median(times[1][k]);

		printf("%5d bits  %-7s page of %3d codes in no cache: %7.1f ns   prefetched %7.1f ns   ratio %.2f\n",
			   bits, kernels[k]->name, count, without, with, with / without);
	}
	free(pages);
}

static void
bench_nearest(const HammingKernels *const *kernels, int kernel_count, int bits)
{
	const int	repeat = 500;
	int			words = bits / 64;
	double		times[MAX_KERNELS][MAX_ROUNDS];
	uint16_t	distance;
	int			r;
	int			k;
	int			i;

	/* as in k-majority, each code is compared with the centres */
	for (r = 0; r < rounds; r++)
		for (k = 0; k < kernel_count; k++)
		{
			double		start = now();

			for (i = 0; i < repeat; i++)
				sink += kernels[k]->nearest(codes + (size_t) words * (CENTRES + i), codes, words, CENTRES, &distance);
			times[k][r] = (now() - start) / repeat;
		}
	for (k = 0; k < kernel_count; k++)
		printf("%5d bits  %-7s nearest of %d: %8.1f ns\n", bits, kernels[k]->name, CENTRES, median(times[k]));
}

static void
bench_strings(const HammingKernels *const *kernels, int kernel_count, int bits)
{
	const int	repeat = 5000;
	double		times[MAX_KERNELS][MAX_ROUNDS];
	const uint8_t *bytes = (const uint8_t *) codes + 5;
	int			r;
	int			k;
	int			i;

	for (r = 0; r < rounds; r++)
		for (k = 0; k < kernel_count; k++)
		{
			double		start = now();

			for (i = 0; i < repeat; i++)
				sink += kernels[k]->distance((uint8_t *) query, bytes + i, bits / 8);
			times[k][r] = (now() - start) / repeat;
		}
	for (k = 0; k < kernel_count; k++)
		printf("%5d bits  %-7s distance of two strings: %6.2f ns\n", bits, kernels[k]->name, median(times[k]));
}

int
main(int argc, char **argv)
{
	static const int lengths[] = {64, 128, 256, 1024};
	const HammingKernels *kernels[MAX_KERNELS];
	int			kernel_count = hamming_available(kernels, MAX_KERNELS);
	size_t		words = (size_t) CODES * MAX_WORDS;
	size_t		i;

	if (argc > 1)
		rounds = atoi(argv[1]);
	if (rounds < 1 || rounds > MAX_ROUNDS)
	{
		fprintf(stderr, "usage: %s [ROUNDS, 1 to %d]\n", argv[0], MAX_ROUNDS);
		return 2;
	}
	codes = aligned_alloc(4096, words * sizeof(uint64_t));
	positions = malloc((CODES + HAMMING_SLACK) * sizeof(uint32_t));
	distances = malloc((CODES + HAMMING_SLACK) * sizeof(uint16_t));
	if (codes == NULL || positions == NULL || distances == NULL)
	{
		perror("bench_hamming");
		return 2;
	}
	for (i = 0; i < words; i++)
		codes[i] = random_word();
	for (i = 0; i < MAX_WORDS; i++)
		query[i] = random_word();

	printf("%d codes in one array, medians of %d rounds\n", CODES, rounds);
	for (i = 0; i < 4; i++)
		bench_array(kernels, kernel_count, lengths[i]);
	for (i = 0; i < 4; i++)
		bench_page(kernels, kernel_count, lengths[i]);
	for (i = 0; i < 2; i++)
		bench_cold_pages(kernels, kernel_count, lengths[i]);
	for (i = 0; i < 4; i++)
		bench_nearest(kernels, kernel_count, lengths[i]);
	for (i = 0; i < 4; i++)
		bench_strings(kernels, kernel_count, lengths[i]);
	return 0;
}
