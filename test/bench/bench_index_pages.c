/*
 * bench_index_pages.c: how many pages an exact search reads, by the number of
 * centres, without a server: codes in centre order on pages as the index has
 * them, then the very search of the index.
 *
 *   bench_index_pages CODES QUERIES BITS [PER_SQRT…]
 *
 * The files hold packed codes, BITS / 8 bytes each.  PER_SQRT are the numbers
 * of centres to try, in units of √pages; 0 is the index's own choice (default 0 1.5 3 6 12 24).
 *
 * The last three columns say what would be gained by abandoning a code in its
 * middle, once it is known to be beyond the tenth distance (the bound of the search
 * itself is that or greater): of the words of the pages that are read, the share that
 * has to be looked at, code by code, and in blocks of eight codes, until all
 * are abandoned.  The third is blocks again, by a bound for the words not seen, d(q, c)
 * over them less d(x, c) over them: c is the code's centre, and d(x, c) would be stored with x.
 */
#include "core/random.h"
#include "core/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_CAPACITY 8144
#define NEIGHBOURS 10
/* Codes that are abandoned together, and of how many queries one is looked at. */
#define BLOCK 8
#define ABANDON_EVERY 20

typedef struct Row
{
	uint32_t	key;			/* centre, place in its cell */
	uint32_t	row;
} Row;

typedef struct Table
{
	int			words;
	int			page_codes;
	uint32_t	pages;
	size_t		rows;
	uint64_t   *column;
	RowPointer *pointer;
	Directory	directory;
	Row		   *row;			/* [rows], in centre order */
	uint32_t   *read;			/* [pages]: those that the search at hand has read */
	uint32_t	read_count;
} Table;

/* Words looked at, of all that there are. */
typedef struct Abandoned
{
	double		by_code;
	double		by_block;
	double		by_block_bounded;
	double		all;
} Abandoned;

static void *
allocate(void *arena, size_t bytes)
{
	return calloc(1, bytes + 1);
}

static void *
reallocate(void *arena, void *old, size_t bytes)
{
	return realloc(old, bytes + 1);
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static uint64_t *
read_codes(const char *name, int bits, size_t *count)
{
	int			bytes = bits / 8;
	int			words = HAMMING_WORDS(bits);
	FILE	   *file = fopen(name, "rb");
	uint64_t   *codes;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
	{
		perror(name);
		exit(1);
	}
	*count = (size_t) ftell(file) / bytes;
	rewind(file);
	codes = calloc(*count + 1, words * sizeof(uint64_t));
	for (size_t i = 0; i < *count; i++)
		if (fread(codes + i * words, bytes, 1, file) != 1)
			exit(1);
	fclose(file);
	return codes;
}

static int
compare_rows(const void *a, const void *b)
{
	const Row  *x = a;
	const Row  *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static void
widen(int16_t *min, int16_t *max, int16_t distance)
{
	if (distance < *min)
		*min = distance;
	if (distance > *max)
		*max = distance;
}

/* Spans as the index's writer makes them. */
static void
make_directory(Table *table, int bits, const Row *row, int centres, const uint64_t *centre)
{
	Directory  *directory = &table->directory;
	uint32_t   *first = calloc(centres + 2, sizeof(uint32_t));
	int16_t    *min = calloc(table->pages + 1, sizeof(int16_t));
	int16_t    *max = calloc(table->pages + 1, sizeof(int16_t));
	Span	   *extra = calloc(table->pages + centres + 1, sizeof(Span));

	directory->words = table->words;
	directory->pages = table->pages;
	directory->centres = centres;
	directory->centre = centre;
	directory->extras = 0;
	for (size_t i = 0; i < table->rows; i++)
	{
		uint32_t	page = (uint32_t) (i / table->page_codes);
		uint32_t	owner = row[i].key >> 16;
		int16_t		distance = (int16_t) centre_place(owner, row[i].key & 0xFFFF, bits);

		if (i % table->page_codes == 0)
		{
			first[owner + 1]++;
			min[page] = max[page] = distance;
		}
		else if (owner != row[i - 1].key >> 16)
		{
			Span	   *span = &extra[directory->extras++];

			span->page = page;
			span->centre = owner;
			span->min = span->max = distance;
		}
		else if (directory->extras > 0 && extra[directory->extras - 1].page == page)
			widen(&extra[directory->extras - 1].min, &extra[directory->extras - 1].max, distance);
		else
			widen(&min[page], &max[page], distance);
	}
	for (int c = 0; c < centres; c++)
		first[c + 1] += first[c];
	directory->first = first;
	directory->min = min;
	directory->max = max;
	directory->extra = extra;
}

static void
make_table(Table *table, int bits, const uint64_t *codes, size_t rows, int wanted)
{
	CoreEnv env = {allocate, NULL, NULL};
	int			samples = centres_sample_size(wanted, bits);
	int			words = HAMMING_WORDS(bits);
	uint64_t   *sample = calloc(samples, words * sizeof(uint64_t));
	uint64_t   *centre = calloc(wanted, words * sizeof(uint64_t));
	Row		   *row = calloc(rows, sizeof(Row));
	uint64_t	random = 5;
	int			centres;
	double		start = seconds();

	for (int i = 0; i < samples; i++)
		memcpy(sample + (size_t) i * words, codes + (random_next(&random) % rows) * words,
			   words * sizeof(uint64_t));
	centres = centres_find(&env, bits, sample, samples, wanted, 1, centre);
	printf("%7d %8.2f", centres, seconds() - start);
	start = seconds();
	for (size_t i = 0; i < rows; i++)
	{
		uint16_t	distance;
		uint32_t	owner;

		row[i].row = (uint32_t) i;
		owner = hamming_kernels->nearest(codes + i * words, centre, words, centres, &distance);
		row[i].key = owner << 16 | centre_place(owner, distance, bits);
	}
	printf(" %8.2f", seconds() - start);
	qsort(row, rows, sizeof(Row), compare_rows);

	table->words = words;
	table->rows = rows;
	table->page_codes = PAGE_CAPACITY / (words * 8 + 6);
	table->pages = (uint32_t) ((rows + table->page_codes - 1) / table->page_codes);
	table->column = malloc(rows * words * sizeof(uint64_t));
	table->pointer = calloc(rows, sizeof(RowPointer));
	for (size_t i = 0; i < rows; i++)
		memcpy(table->column + i * words, codes + (size_t) row[i].row * words, words * sizeof(uint64_t));
	make_directory(table, bits, row, centres, centre);
	table->row = row;
	table->read = malloc(table->pages * sizeof(uint32_t));
	free(sample);
}

static bool
read_page(void *context, uint32_t page, const uint32_t *upcoming, uint32_t upcoming_count,
		  PageColumns *columns)
{
	Table	   *table = context;
	size_t		first = (size_t) page * table->page_codes;

	table->read[table->read_count++] = page;
	columns->count = table->rows - first < (size_t) table->page_codes ?
		(int) (table->rows - first) : table->page_codes;
	columns->codes = table->column + first * table->words;
	columns->row_base = (const char *) (table->pointer + first);
	columns->row_stride = sizeof(RowPointer);
	return true;
}

static bool
no_pending(void *context, uint32_t ordinal, PageColumns *columns)
{
	columns->count = -1;
	return true;
}

static void
release_page(void *context)
{
}

/* How many words of a code it takes until it is known to be further away than that. */
static int
words_until(int words, const uint64_t *query, const uint64_t *code, int limit)
{
	int			distance = 0;
	int			w = 0;

	while (w < words && distance <= limit)
	{
		distance += __builtin_popcountll(query[w] ^ code[w]);
		w++;
	}
	return w;
}

/*
 * The same, knowing its distance from its centre: with a = query ^ centre and b =
 * code ^ centre the distance is |a| - |b| + 2 |b & ~a|, and the last term grows word by word.
 */
static int
words_until_bounded(int words, const uint64_t *query, const uint64_t *code, const uint64_t *centre, int limit)
{
	size_t		bytes = words * sizeof(uint64_t);
	int			least = hamming_kernels->distance((const uint8_t *) query, (const uint8_t *) centre, bytes) -
		hamming_kernels->distance((const uint8_t *) code, (const uint8_t *) centre, bytes);
	int			w = 0;

	while (w < words && least <= limit)
	{
		least += 2 * __builtin_popcountll((code[w] ^ centre[w]) & ~(query[w] ^ centre[w]));
		w++;
	}
	return w;
}

/* Add up what the pages that were read would have taken. */
static void
count_words(const Table *table, const uint64_t *query, int limit, Abandoned *abandoned)
{
	int			words = table->words;

	for (uint32_t r = 0; r < table->read_count; r++)
	{
		size_t		first = (size_t) table->read[r] * table->page_codes;
		size_t		end = first + table->page_codes < table->rows ? first + table->page_codes : table->rows;

		for (size_t block = first; block < end; block += BLOCK)
		{
			size_t		block_end = block + BLOCK < end ? block + BLOCK : end;
			int			most = 0;
			int			most_bounded = 0;

			for (size_t i = block; i < block_end; i++)
			{
				const uint64_t *code = table->column + i * words;
				const uint64_t *centre = table->directory.centre + (size_t) (table->row[i].key >> 16) * words;
				int			until = words_until(words, query, code, limit);
				int			bounded = words_until_bounded(words, query, code, centre, limit);

				abandoned->by_code += until;
				most = until > most ? until : most;
				most_bounded = bounded > most_bounded ? bounded : most_bounded;
			}
			abandoned->by_block += most * (double) (block_end - block);
			abandoned->by_block_bounded += most_bounded * (double) (block_end - block);
			abandoned->all += words * (double) (block_end - block);
		}
	}
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

static void
run_queries(Table *table, int bits, const uint64_t *queries, size_t count)
{
	PageReader	reader = {table, read_page, no_pending, release_page};
	SearchMemory memory = {reallocate, NULL};
	Search	   *search = search_create(bits, table->page_codes, &reader, &(CandidateSort) {NULL}, &memory);
	int16_t    *bound = malloc((table->pages + 1) * sizeof(int16_t));
	uint16_t   *distances = malloc((table->directory.centres + 1) * sizeof(uint16_t));
	uint64_t   *pages = malloc(count * sizeof(uint64_t));
	double		sum = 0;
	double		radius = 0;
	double		took = 0;
	Abandoned	abandoned = {0};

	for (size_t i = 0; i < count; i++)
	{
		SearchQuestion question = {true, {queries + i * table->words, bits}, NULL, 0, NULL, 0};
		Candidate	answer;
		double		start = seconds();

		table->read_count = 0;
		directory_bounds(&table->directory, question.ball.query, distances, bound);
		search_begin(search, &question, bound, table->pages, 4 << 20);
		for (int k = 0; k < NEIGHBOURS; k++)
			if (search_next(search, &answer) != SEARCH_FOUND)
				break;
		took += seconds() - start;
		pages[i] = search_counters(search)->pages;
		sum += pages[i];
		radius += answer.distance;
		if (i % ABANDON_EVERY == 0)
			count_words(table, question.ball.query, answer.distance, &abandoned);
	}
	qsort(pages, count, sizeof(uint64_t), compare_numbers);
	printf(" %8.1f %6llu %6llu %9.1f %8.1f %6.2f %6.2f %8.2f\n", sum / count, (unsigned long long) pages[count / 2],
		   (unsigned long long) pages[count * 99 / 100], took / count * 1e6, radius / count,
		   abandoned.by_code / abandoned.all, abandoned.by_block / abandoned.all,
		   abandoned.by_block_bounded / abandoned.all);
	free(bound);
	free(distances);
	free(pages);
}

int
main(int argc, char **argv)
{
	static char *usual[] = {"0", "1.5", "3", "6", "12", "24"};
	char	  **factors = argc > 4 ? argv + 4 : usual;
	int			factor_count = argc > 4 ? argc - 4 : 6;
	int			bits;
	size_t		rows;
	size_t		queries;
	uint64_t   *codes;
	uint64_t   *query;

	if (argc < 4)
	{
		fprintf(stderr, "usage: %s CODES QUERIES BITS [PER_SQRT...]\n", argv[0]);
		return 2;
	}
	hamming_init();
	bits = atoi(argv[3]);
	codes = read_codes(argv[1], bits, &rows);
	query = read_codes(argv[2], bits, &queries);
	printf("%zu codes of %d bits on %zu pages, %zu queries for %d\n", rows, bits,
		   rows / (PAGE_CAPACITY / (HAMMING_WORDS(bits) * 8 + 6)) + 1, queries, NEIGHBOURS);
	printf("centres   find s assign s    pages median    p99  us/query distance   code  block  bounded\n");
	for (int f = 0; f < factor_count; f++)
	{
		double		pages = (double) rows / (PAGE_CAPACITY / (HAMMING_WORDS(bits) * 8 + 6));
		double		factor = atof(factors[f]);
		Table		table = {0};

		make_table(&table, bits, codes, rows,
				   factor == 0 ? centres_wanted(pages, bits) + 1 : (int) (factor * sqrt(pages)) + 1);
		run_queries(&table, bits, query, queries);
		free(table.column);
		free(table.pointer);
		free(table.row);
		free(table.read);
	}
	return 0;
}
