/*
 * test_hamming.c: every Hamming kernel that this processor can run.
 *
 * The scalar kernels are compared with a loop over single bits, the others
 * with the scalar ones.  All inputs and outputs end directly before a page
 * that may not be touched, and start directly behind one where noted, so that
 * a kernel that reads or writes an element too many ends the test.
 *
 *	test_hamming [seed]
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/hamming.h"

#define MAX_KERNELS 8
#define MAX_COUNT 600
#define LONGEST_TESTED 1100		/* bits */

typedef enum CodeKind
{
	RANDOM,						/* distances about bits / 2 */
	NEAR,						/* a few bits off the query: many ties */
	SAME,						/* all of them the query */
	OPPOSITE,					/* every bit differs */
	KINDS
} CodeKind;

static const char *const kind_names[KINDS] = {"random", "near", "same", "opposite"};

static uint64_t random_state;
static int	passed;
static int	failed;

static void __attribute__((format(printf, 2, 3)))
check(int ok, const char *format,...)
{
	va_list		args;

	if (ok)
	{
		passed++;
		return;
	}
	if (failed++ >= 20)
		return;
	printf("FAILED: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* splitmix64 */
static uint64_t
random_word(void)
{
	uint64_t	z = random_state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int
random_below(int limit)
{
	return random_word() % limit;
}

/* ---- memory between two pages that may not be touched ---- */

typedef struct Fence
{
	char	   *start;			/* first byte that may be touched */
	char	   *end;			/* first behind it that may not */
} Fence;

static Fence
make_fence(size_t size)
{
	size_t		page = sysconf(_SC_PAGESIZE);
	size_t		capacity = (size + page - 1) / page * page;
	char	   *base = mmap(NULL, capacity + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	Fence		fence;

	if (base == MAP_FAILED || mprotect(base + page, capacity, PROT_READ | PROT_WRITE) != 0)
	{
		perror("mmap");
		exit(2);
	}
	fence.start = base + page;
	fence.end = fence.start + capacity;
	return fence;
}

static void *
at_end(Fence fence, size_t size)
{
	return fence.end - size;
}

static Fence query_fence;
static Fence codes_fence;
static Fence positions_fence;
static Fence distances_fence;
static Fence expected_fence;

/* ---- arrays of codes ---- */

static void
fill_code(uint64_t *code, int bits)
{
	int			words = HAMMING_WORDS(bits);
	int			w;

	for (w = 0; w < words; w++)
		code[w] = random_word();
	if (bits % 64 != 0)
		code[words - 1] &= (UINT64_C(1) << (bits % 64)) - 1;
}

static void
flip_bit(uint64_t *code, int bit)
{
	code[bit / 64] ^= UINT64_C(1) << (bit % 64);
}

static void
fill_codes(CodeKind kind, const uint64_t *query, uint64_t *codes, int bits, int count)
{
	int			words = HAMMING_WORDS(bits);
	int			i;
	int			b;

	for (i = 0; i < count; i++, codes += words)
	{
		if (kind == RANDOM)
		{
			fill_code(codes, bits);
			continue;
		}
		memcpy(codes, query, words * sizeof(uint64_t));
		if (kind == NEAR)
			for (b = random_below(6); b > 0; b--)
				flip_bit(codes, random_below(bits));
		if (kind == OPPOSITE)
			for (b = 0; b < bits; b++)
				flip_bit(codes, b);
	}
}

static int
naive_distance(const uint64_t *a, const uint64_t *b, int bits)
{
	int			distance = 0;
	int			i;

	for (i = 0; i < bits; i++)
		distance += ((a[i / 64] ^ b[i / 64]) >> (i % 64)) & 1;
	return distance;
}

/* One data set: what it is, and the distances that are right. */
typedef struct Case
{
	CodeKind	kind;
	int			bits;
	int			words;
	int			count;
	const uint64_t *query;
	const uint64_t *codes;
	const uint16_t *expected;
} Case;

static void
check_distances(const HammingKernels *kernels, const Case *c)
{
	uint16_t   *distances = at_end(distances_fence, c->count * sizeof(uint16_t));

	memset(distances, 0xA5, c->count * sizeof(uint16_t));
	kernels->distances(c->query, c->codes, c->words, c->count, distances);
	check(memcmp(distances, c->expected, c->count * sizeof(uint16_t)) == 0,
		  "%s distances: %d bits, %d codes, %s", kernels->name, c->bits, c->count, kind_names[c->kind]);
}

static void
check_within(const HammingKernels *kernels, const Case *c, int bound)
{
	uint32_t   *positions = at_end(positions_fence, (c->count + HAMMING_SLACK) * sizeof(uint32_t));
	uint16_t   *distances = at_end(distances_fence, (c->count + HAMMING_SLACK) * sizeof(uint16_t));
	int			found = kernels->within(c->query, c->codes, c->words, c->count, bound, positions, distances);
	int			hits = 0;
	int			wrong = 0;
	int			i;

	for (i = 0; i < c->count; i++)
		if (c->expected[i] <= bound)
		{
			wrong += hits >= found || positions[hits] != (uint32_t) i || distances[hits] != c->expected[i];
			hits++;
		}
	check(found == hits && wrong == 0,
		  "%s within: %d bits, %d codes, %s, bound %d: %d found, %d expected, %d of them wrong",
		  kernels->name, c->bits, c->count, kind_names[c->kind], bound, found, hits, wrong);
}

static void
check_nearest(const HammingKernels *kernels, const Case *c)
{
	uint16_t	distance = 1;
	int			nearest = kernels->nearest(c->query, c->codes, c->words, c->count, &distance);
	int			best = -1;
	int			i;

	for (i = 0; i < c->count; i++)
		if (best < 0 || c->expected[i] < c->expected[best])
			best = i;
	check(nearest == best && distance == (best < 0 ? UINT16_MAX : c->expected[best]),
		  "%s nearest: %d bits, %d codes, %s: position %d, expected %d",
		  kernels->name, c->bits, c->count, kind_names[c->kind], nearest, best);
}

/* All array functions on one data set, which ends at a fence. */
static void
check_case(const HammingKernels *const *kernels, int kernel_count, CodeKind kind, int bits, int count)
{
	int			words = HAMMING_WORDS(bits);
	uint64_t   *query = at_end(query_fence, words * sizeof(uint64_t));
	uint64_t   *codes = at_end(codes_fence, (size_t) count * words * sizeof(uint64_t));
	uint16_t   *expected = at_end(expected_fence, count * sizeof(uint16_t));
	Case		c = {kind, bits, words, count, query, codes, expected};
	int			bounds[] = {INT_MIN, -1, 0, 1, bits / 2, random_below(bits + 1), bits - 1, bits, INT_MAX};
	size_t		b;
	int			i;
	int			k;

	fill_code(query, bits);
	fill_codes(kind, query, codes, bits, count);
	for (i = 0; i < count; i++)
		expected[i] = naive_distance(query, codes + (size_t) i * words, bits);
	for (k = 0; k < kernel_count; k++)
	{
		/* from the second on, the reference is what the scalar ones say */
		if (k == 1)
			hamming_scalar.distances(query, codes, words, count, expected);
		check_distances(kernels[k], &c);
		check_nearest(kernels[k], &c);
		for (b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++)
			check_within(kernels[k], &c, bounds[b]);
	}
}

/* ---- byte strings ---- */

static void
check_bytes(const HammingKernels *kernels, const uint8_t *a, const uint8_t *b, size_t bytes, const char *where)
{
	int			distance = 0;
	int			weight = 0;
	size_t		i;
	int			bit;

	for (i = 0; i < bytes; i++)
		for (bit = 0; bit < 8; bit++)
		{
			distance += ((a[i] ^ b[i]) >> bit) & 1;
			weight += (a[i] >> bit) & 1;
		}
	check(kernels->distance(a, b, bytes) == distance, "%s distance: %zu bytes %s", kernels->name, bytes, where);
	check(kernels->weight(a, bytes) == weight, "%s weight: %zu bytes %s", kernels->name, bytes, where);
}

static void
fill_bytes(Fence fence)
{
	char	   *byte;

	for (byte = fence.start; byte < fence.end; byte++)
		*byte = random_word();
}

/* Strings at the fences' ends and starts, and at all alignments of both. */
static void
check_strings(const HammingKernels *kernels, size_t bytes)
{
	const uint8_t *a = (uint8_t *) query_fence.start;
	const uint8_t *b = (uint8_t *) codes_fence.start;
	int			alignment;

	check_bytes(kernels, at_end(query_fence, bytes), at_end(codes_fence, bytes), bytes, "at the end");
	check_bytes(kernels, a, b, bytes, "at the start");
	for (alignment = 1; alignment < 64; alignment += 1 + random_below(9))
		check_bytes(kernels, a + alignment, b + random_below(64), bytes, "unaligned");
}

/* ---- the tests ---- */

static void
test_dispatch(const HammingKernels *const *kernels, int kernel_count)
{
	const HammingKernels *one[2] = {NULL, NULL};
	int			k;

	check(hamming_kernels == &hamming_scalar, "the scalar kernels are not in use before hamming_init");
	check(kernels[0] == &hamming_scalar, "the scalar kernels are not the first");
	check(hamming_available(one, 1) == 1 && one[0] == &hamming_scalar && one[1] == NULL,
		  "hamming_available does not keep to the room it is given");
	hamming_init();
	check(hamming_kernels == kernels[kernel_count - 1], "hamming_init chose %s", hamming_kernels->name);
	hamming_init();
	check(hamming_kernels == kernels[kernel_count - 1], "a second hamming_init chose %s", hamming_kernels->name);
	printf("kernels:");
	for (k = 0; k < kernel_count; k++)
		printf(" %s", kernels[k]->name);
	printf("; in use: %s\n", hamming_kernels->name);
}

static void
test_arrays(const HammingKernels *const *kernels, int kernel_count)
{
	static const int around[] = {95, 96, 97, 127, 128, 129, 255, 256, 257, 579, 580, 581};
	static const int longer[] = {1599, 4096, 8191, HAMMING_MAX_BITS - 1, HAMMING_MAX_BITS};
	int			bits;
	int			count;
	size_t		i;

	/* all lengths, each with some count; all counts, with each number of words */
	for (bits = 1; bits <= LONGEST_TESTED; bits++)
		check_case(kernels, kernel_count, RANDOM, bits, 1 + random_below(70));
	for (bits = 64; bits <= LONGEST_TESTED; bits += 64)
	{
		for (count = 0; count <= 70; count++)
			check_case(kernels, kernel_count, NEAR, bits - random_below(64), count);
		for (i = 0; i < sizeof(around) / sizeof(around[0]); i++)
			check_case(kernels, kernel_count, random_below(KINDS), bits, around[i]);
		for (count = 1; count <= 41; count += 8)
		{
			check_case(kernels, kernel_count, SAME, bits, count);
			check_case(kernels, kernel_count, OPPOSITE, bits, count);
		}
	}
	for (i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
		for (count = 0; count <= 34; count += 17)
		{
			check_case(kernels, kernel_count, OPPOSITE, longer[i], count);
			check_case(kernels, kernel_count, RANDOM, longer[i], count);
		}
	printf("arrays: lengths 1 to %d bits and up to %d, counts 0 to 70 and up to %d\n",
		   LONGEST_TESTED, HAMMING_MAX_BITS, around[sizeof(around) / sizeof(around[0]) - 1]);
}

static void
test_strings(const HammingKernels *const *kernels, int kernel_count)
{
	static const size_t longer[] = {255, 256, 257, 1023, 2047, 2048, 2049, 20000};
	size_t		bytes;
	size_t		i;
	int			k;

	fill_bytes(query_fence);
	fill_bytes(codes_fence);
	for (k = 0; k < kernel_count; k++)
	{
		for (bytes = 0; bytes <= (LONGEST_TESTED + 7) / 8; bytes++)
			check_strings(kernels[k], bytes);
		for (i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
			check_strings(kernels[k], longer[i]);
	}
	/* one bits throughout, at a length where narrow sums would overflow */
	memset(query_fence.start, 0xFF, query_fence.end - query_fence.start);
	memset(codes_fence.start, 0, codes_fence.end - codes_fence.start);
	for (k = 0; k < kernel_count; k++)
		check_strings(kernels[k], 20001);
	printf("byte strings: 0 to %d bytes and up to 20001, at all alignments\n", (LONGEST_TESTED + 7) / 8);
}

int
main(int argc, char **argv)
{
	const HammingKernels *kernels[MAX_KERNELS];
	int			kernel_count = hamming_available(kernels, MAX_KERNELS);
	size_t		longest = HAMMING_WORDS(HAMMING_MAX_BITS) * sizeof(uint64_t);

	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t) time(NULL);
	printf("seed %llu\n", (unsigned long long) random_state);
	query_fence = make_fence(32768);
	codes_fence = make_fence(longest * 64);
	positions_fence = make_fence((MAX_COUNT + HAMMING_SLACK) * sizeof(uint32_t));
	distances_fence = make_fence((MAX_COUNT + HAMMING_SLACK) * sizeof(uint16_t));
	expected_fence = make_fence(MAX_COUNT * sizeof(uint16_t));

	test_dispatch(kernels, kernel_count);
	test_arrays(kernels, kernel_count);
	test_strings(kernels, kernel_count);
	printf("test_hamming: %d passed, %d failed\n", passed, failed);
	return failed > 0;
}
