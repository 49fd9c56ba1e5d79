/*
 * core/page_layout.c: the pages on which an index would have codes.
 *
 * What a search reads follows from the directory, and the directory from how
 * many codes there are at each place of each centre's cell: codes stand in that
 * order, and a page ends where it is full, or nearly full and a cell ends
 * (index/writer.c).  So counting is enough; nothing is sorted, and no page is
 * filled.  The centres are found as CREATE INDEX finds them, in another sample.
 */
#include "core/page_layout.h"

#include <string.h>

#define SEED UINT64_C(0x7061676573)
#define INTERRUPT_ROWS 1024

/* Pages as they fill. */
typedef struct Filling
{
	uint32_t	page_rows;
	uint32_t	rows;			/* on the last page */
	uint32_t	pages;
	size_t		spans;
	Span	   *span;			/* of all pages, in their order */
} Filling;

static void *
layout_allocate(const CoreEnv *env, size_t count, size_t size)
{
	return env->allocate(env->arena, (count + 1) * size);
}

/* Every so many-th code, as many as are wanted. */
static const uint64_t *
layout_sample(const CoreEnv *env, int words, int rows, const uint64_t *codes, int samples)
{
	uint64_t   *sample;

	if (samples >= rows)
		return codes;
	sample = layout_allocate(env, (size_t) samples * words, sizeof(uint64_t));
	for (int i = 0; i < samples; i++)
		memcpy(sample + (size_t) i * words, codes + ((uint64_t) i * rows / samples) * words,
			   words * sizeof(uint64_t));
	return sample;
}

/* Rows at each place of each centre's cell: [centres × (bits + 1)]. */
static uint32_t *
layout_count(const CoreEnv *env, int bits, int rows, const uint64_t *codes, int centres, const uint64_t *centre)
{
	int			words = HAMMING_WORDS(bits);
	uint32_t   *count = layout_allocate(env, (size_t) centres * (bits + 1), sizeof(uint32_t));

	for (int i = 0; i < rows; i++)
	{
		uint16_t	distance;
		int			nearest = hamming_kernels->nearest(codes + (size_t) i * words, centre, words, centres, &distance);

		if (i % INTERRUPT_ROWS == 0)
			env->interrupt();
		count[(size_t) nearest * (bits + 1) + centre_place(nearest, distance, bits)]++;
	}
	return count;
}

/* The last page holds rows of that centre at that distance. */
static void
layout_extend_span(Filling *filling, uint32_t centre, int distance)
{
	Span	   *span = &filling->span[filling->spans > 0 ? filling->spans - 1 : 0];

	if (filling->spans == 0 || span->page != filling->pages - 1 || span->centre != centre)
	{
		span = &filling->span[filling->spans++];
		*span = (Span) {.page = filling->pages - 1, .centre = centre, .min = (int16_t) distance, .max = (int16_t) distance};
	}
	if (distance < span->min)
		span->min = (int16_t) distance;
	if (distance > span->max)
		span->max = (int16_t) distance;
}

/* So many rows of that centre at that distance. */
static void
layout_fill(Filling *filling, uint32_t centre, int distance, uint32_t rows)
{
	while (rows > 0)
	{
		uint32_t	taken;

		if (filling->rows == filling->page_rows)
		{
			filling->pages++;
			filling->rows = 0;
		}
		taken = filling->page_rows - filling->rows;
		if (taken > rows)
			taken = rows;
		layout_extend_span(filling, centre, distance);
		filling->rows += taken;
		rows -= taken;
	}
}

static void
layout_fill_pages(const CoreEnv *env, int bits, int rows, const uint32_t *count, int page_rows, Directory *directory)
{
	int			fill = PAGE_NEARLY_FULL(page_rows);
	size_t		max_spans = ((size_t) rows + fill - 1) / fill + directory->centres;
	Filling		filling = {.page_rows = page_rows, .rows = page_rows};

	filling.span = layout_allocate(env, max_spans, sizeof(Span));
	for (int c = 0; c < directory->centres; c++)
	{
		env->interrupt();
		if (filling.rows >= (uint32_t) fill)
			filling.rows = page_rows;
		for (int place = 0; place <= bits; place++)
			layout_fill(&filling, c, centre_place(c, place, bits), count[(size_t) c * (bits + 1) + place]);
	}
	directory->pages = filling.pages;
	directory_take_spans(directory, filling.span, filling.spans,
						 layout_allocate(env, directory->centres, sizeof(uint32_t)),
						 layout_allocate(env, filling.pages, sizeof(int16_t)),
						 layout_allocate(env, filling.pages, sizeof(int16_t)),
						 layout_allocate(env, filling.spans - filling.pages, sizeof(Span)));
}

void
page_layout_create(PageLayout *layout, const CoreEnv *env, int bits, int rows, const uint64_t *codes, int page_bytes)
{
	Directory  *directory = &layout->directory;
	int			words = HAMMING_WORDS(bits);
	int			page_rows = PAGE_ROWS(page_bytes, words);
	int			wanted = rows == 0 ? 0 : centres_wanted((double) rows / page_rows, bits);

	memset(layout, 0, sizeof(PageLayout));
	directory->words = words;
	directory->pages = (uint32_t) (((int64_t) rows + page_rows - 1) / page_rows);
	if (wanted > 0)
	{
		int			samples = centres_sample_size(wanted, bits);
		uint64_t   *centre = layout_allocate(env, (size_t) wanted * words, sizeof(uint64_t));

		samples = samples < rows ? samples : rows;
		directory->centres = centres_find(env, bits, layout_sample(env, words, rows, codes, samples), samples,
										  wanted, SEED, centre);
		directory->centre = centre;
		layout_fill_pages(env, bits, rows, layout_count(env, bits, rows, codes, directory->centres, centre),
						  page_rows, directory);
	}
	layout->distances = layout_allocate(env, directory->centres + HAMMING_SLACK, sizeof(uint16_t));
	layout->bound = layout_allocate(env, directory->pages, sizeof(int16_t));
}

/* Those that lemma 2 asks for; where one code's copies fill several pages, there may be more at the distance itself. */
uint32_t
page_layout_reads(PageLayout *layout, const uint64_t *query, int distance)
{
	uint32_t	reads = 0;

	directory_bounds(&layout->directory, query, layout->distances, layout->bound);
	for (uint32_t p = 0; p < layout->directory.pages; p++)
		reads += layout->bound[p] < distance;
	return reads > 0 ? reads : 1;
}
