/*
 * test_page_layout.c: the pages that an index would have, against pages that are
 * filled row by row, sorted, as index/writer.c fills them.
 *
 * Argument: seed.
 */
#include "core/page_layout.h"

#include "core/random.h"
#include "core_test.h"

#include <time.h>

typedef struct Row
{
	int			centre;
	int			place;
	int			number;
} Row;

static uint64_t state;

static int
below(int n)
{
	return (int) (random_next(&state) % (uint64_t) n);
}

static int
compare_rows(const void *a, const void *b)
{
	const Row  *x = a;
	const Row  *y = b;

	if (x->centre != y->centre)
		return x->centre < y->centre ? -1 : 1;
	return x->place != y->place ? (x->place < y->place ? -1 : 1) : x->number - y->number;
}

static int
distance_of(const uint64_t *a, const uint64_t *b, int words)
{
	int			distance = 0;

	for (int w = 0; w < words; w++)
		distance += __builtin_popcountll(a[w] ^ b[w]);
	return distance;
}

/* Codes near one of some; spread 64: anywhere, 0: equal to it. */
static uint64_t *
make_codes(int bits, int rows, int kinds, int spread)
{
	int			words = HAMMING_WORDS(bits);
	uint64_t   *kind = ALLOCATE(uint64_t, kinds * words);
	uint64_t   *codes = ALLOCATE(uint64_t, rows * words + 1);

	for (int i = 0; i < kinds * words; i++)
		kind[i] = random_next(&state);
	for (int i = 0; i < rows; i++)
		for (int w = 0; w < words; w++)
		{
			uint64_t   *word = &codes[i * words + w];

			*word = kind[below(kinds) * words + w];
			for (int flip = 0; flip < spread; flip++)
				*word ^= UINT64_C(1) << below(64);
			if (w == words - 1 && bits % 64 != 0)
				*word &= (UINT64_C(1) << bits % 64) - 1;
		}
	return codes;
}

/* Pages of sorted rows; bounds of a query from the rows themselves, centre by centre. */
static void
check_layout(int bits, int rows, int kinds, int spread, int page_bytes)
{
	int			words = HAMMING_WORDS(bits);
	int			page_rows = PAGE_ROWS(page_bytes, words);
	uint64_t   *codes = make_codes(bits, rows, kinds, spread);
	Row		   *row = ALLOCATE(Row, rows + 1);
	int		   *page = ALLOCATE(int, rows + 1);
	PageLayout	layout;
	const Directory *directory = &layout.directory;
	int			pages = 0;
	int			filled = page_rows;
	int			wrong = 0;
	int			loose = 0;
	int			miscounted = 0;

	page_layout_create(&layout, &env, bits, rows, codes, page_bytes);
	for (int i = 0; i < rows; i++)
	{
		uint16_t	distance = 0;

		row[i].centre = directory->centres == 0 ? 0 :
			hamming_kernels->nearest(codes + i * words, directory->centre, words, directory->centres, &distance);
		row[i].place = directory->centres == 0 ? 0 : centre_place(row[i].centre, distance, bits);
		row[i].number = i;
	}
	qsort(row, rows, sizeof(Row), compare_rows);
	for (int i = 0; i < rows; i++)
	{
		bool		change = i > 0 && row[i].centre != row[i - 1].centre;

		if (filled == page_rows || (change && filled >= page_rows - page_rows / 4))
		{
			pages++;
			filled = 0;
		}
		filled++;
		page[i] = pages - 1;
	}
	for (int q = 0; q < 20 && rows > 0; q++)
	{
		const uint64_t *query = codes + below(rows) * words;
		int			radius = below(bits + 1);
		int			within = 0;

		page_layout_reads(&layout, query, radius);
		for (int i = 0; i < rows;)
		{
			int			p = page[i];
			int			bound = directory->centres == 0 ? 0 : INT16_MAX;

			while (i < rows && page[i] == p && directory->centres > 0)
			{
				int			first = i;
				int			min = bits;
				int			max = 0;
				int			span;

				for (; i < rows && page[i] == p && row[i].centre == row[first].centre; i++)
				{
					int			distance = centre_place(row[i].centre, row[i].place, bits);

					wrong += distance_of(query, codes + row[i].number * words, words) < layout.bound[p];
					min = distance < min ? distance : min;
					max = distance > max ? distance : max;
				}
				span = distance_of(query, directory->centre + row[first].centre * words, words);
				span = span > max ? span - max : span < min ? min - span : 0;
				bound = span < bound ? span : bound;
			}
			for (; i < rows && page[i] == p; i++)
				;
			loose += bound != layout.bound[p];
			within += bound < radius;
		}
		miscounted += page_layout_reads(&layout, query, radius) != (uint32_t) (within > 0 ? within : 1);
	}
	check((int) directory->pages == pages && wrong == 0 && loose == 0 && miscounted == 0,
		  "%d codes of %d bits near %d, %d flips, %d a page: %u pages of %d, %d centres, %d bounds too large, %d other, %d searches",
		  rows, bits, kinds, spread, page_rows, directory->pages, pages, directory->centres, wrong, loose, miscounted);
	free_all();
}

int
main(int argc, char **argv)
{
	static const int bits[] = {1, 7, 64, 70, 256, 3000};
	static const int rows[] = {0, 1, 50, 333, 2500};

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t) time(NULL);
	printf("seed %llu\n", (unsigned long long) state);
	hamming_init();
	for (int b = 0; b < (int) (sizeof(bits) / sizeof(bits[0])); b++)
		for (int r = 0; r < (int) (sizeof(rows) / sizeof(rows[0])); r++)
			for (int spread = 0; spread <= 64; spread += 16)
				check_layout(bits[b], rows[r], 1 + below(40), spread, 2000 + below(6000));
	check_layout(16384, 100, 5, 1, 8144);
	printf("page_layout: %d passed, %d failed\n", passed, failed);
	return failed > 0;
}
