/*
 * test_index_band.c: bands of codes against brute force: a code within the
 * radius is found by exactly one band, on a page that is marked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/search.h"

#define ROWS 3000
#define ROWS_A_PAGE 37
#define PAGES ((ROWS + ROWS_A_PAGE - 1) / ROWS_A_PAGE)
#define MAX_WORDS 16
#define MAX_BANDS 32

static int	passed;
static int	failed;
static uint64_t seed;

static void
check(int condition, const char *what, int bits, int bands, int radius)
{
	if (condition)
	{
		passed++;
		return;
	}
	failed++;
	printf("failed: %s (bits %d, bands %d, radius %d)\n", what, bits, bands, radius);
}

/* A row's value and number, to sort a run by. */
typedef struct Key
{
	int			value;
	int			row;
} Key;

static int
compare_keys(const void *a, const void *b)
{
	const Key  *x = a;
	const Key  *y = b;

	return x->value != y->value ? (x->value < y->value ? -1 : 1) : x->row - y->row;
}

static uint64_t code[ROWS][MAX_WORDS];
static uint64_t query[MAX_WORDS];
static Key	run[MAX_BANDS][ROWS];
static uint16_t first[MAX_BANDS * PAGES];
static int16_t bound[MAX_BANDS * PAGES];

static void
random_code(uint64_t *to, int bits)
{
	memset(to, 0, MAX_WORDS * sizeof(uint64_t));
	for (int bit = 0; bit < bits; bit++)
		if (random_next(&seed) & 1024)
			((uint8_t *) to)[bit / 8] |= 0x80 >> bit % 8;
}

/* Codes at all distances from the query, near ones in plenty. */
static void
make_codes(int bits)
{
	random_code(query, bits);
	for (int i = 0; i < ROWS; i++)
	{
		int			flips = (int) (random_next(&seed) % (uint64_t) (bits < 24 ? bits + 1 : 24));

		if (i % 3 == 0)
		{
			random_code(code[i], bits);
			continue;
		}
		memcpy(code[i], query, sizeof(query));
		for (int f = 0; f < flips; f++)
		{
			int			bit = (int) (random_next(&seed) % (uint64_t) bits);

			((uint8_t *) code[i])[bit / 8] ^= 0x80 >> bit % 8;
		}
	}
}

static void
make_runs(int bits, int bands)
{
	for (int band = 0; band < bands; band++)
	{
		for (int i = 0; i < ROWS; i++)
		{
			run[band][i].row = i;
			run[band][i].value = band_value(code[i], bits, bands, band);
		}
		qsort(run[band], ROWS, sizeof(Key), compare_keys);
		for (int page = 0; page < PAGES; page++)
			first[band * PAGES + page] = (uint16_t) run[band][page * ROWS_A_PAGE].value;
	}
}

static void
try_radius(int bits, int bands, int radius)
{
	static int	found[ROWS];
	uint32_t	marked;
	uint32_t	counted = 0;
	int			right = 1;

	memset(found, 0, sizeof(found));
	for (int i = 0; i < bands * PAGES; i++)
		bound[i] = BOUND_NEVER;
	marked = band_mark(first, PAGES, query, bits, bands, radius, bound);
	for (int band = 0; band < bands; band++)
		for (int i = 0; i < ROWS; i++)
		{
			int			row = run[band][i].row;

			if (bound[band * PAGES + i / ROWS_A_PAGE] == 0 &&
				hamming_scalar.distance((uint8_t *) query, (uint8_t *) code[row], (bits + 7) / 8) <= radius &&
				band_owns(query, code[row], bits, bands, radius, band))
				found[row]++;
		}
	for (int i = 0; i < bands * PAGES; i++)
		counted += bound[i] == 0;
	for (int i = 0; i < ROWS; i++)
		right &= found[i] ==
			(hamming_scalar.distance((uint8_t *) query, (uint8_t *) code[i], (bits + 7) / 8) <= radius);
	check(right, "each code within the radius is found once", bits, bands, radius);
	check(marked == counted, "pages are counted as they are marked", bits, bands, radius);
}

int
main(int argc, char **argv)
{
	static const int lengths[] = {1, 2, 7, 16, 33, 64, 65, 100, 128, 200, 256, 1000};

	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 20261121;
	printf("seed %llu\n", (unsigned long long) seed);
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
		for (int bands = 1; bands <= MAX_BANDS && bands <= lengths[l]; bands += bands < 8 ? 1 : 8)
		{
			int			bits = lengths[l];

			make_codes(bits);
			make_runs(bits, bands);
			for (int radius = 0; radius <= 12 && radius <= bits; radius++)
				if (band_probes(bits, bands, radius, 20000) < 20000)
					try_radius(bits, bands, radius);
		}
	/* By hand: 64 bits, 4 bands; radius 5 = 4·1 + 1. */
	check(band_allowance(5, 4, 0) == 1 && band_allowance(5, 4, 1) == 1 &&
		  band_allowance(5, 4, 2) == 0 && band_allowance(5, 4, 3) == 0, "allowances", 64, 4, 5);
	check(band_allowance(3, 4, 3) == 0 && band_allowance(2, 4, 3) == -1, "allowances", 64, 4, 3);
	check(band_probes(64, 4, 3, 1000) == 4 && band_probes(64, 4, 5, 1000) == 36 &&
		  band_probes(64, 4, 5, 10) == 10, "probes", 64, 4, 5);
	check(band_width(100, 3, 0) == 16 && band_width(7, 2, 0) == 3 && band_width(7, 2, 1) == 4, "widths", 7, 2, 0);
	printf("index_band: %d passed, %d failed\n", passed, failed);
	return failed > 0;
}
