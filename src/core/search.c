/*
 * core/search.c: exact search over pages with lower bounds.
 *
 * Pages are visited in the order of (bound, page); call a page's place in it
 * its rank.  Pending pages, which have no bounds, come first.  Answers come in
 * the total order of (distance, rank), those of one page and distance together.
 * Two facts make it exact.
 *
 * When to answer.  A page still to be visited has a bound b no less than the
 * next page's, so its codes are at b or further; those at b itself come later
 * in the order, having the larger rank.  So every candidate with a distance of
 * at most the next page's bound can be answered now.  A search for k answers
 * thereby reads exactly the pages whose bound is below the k-th distance, not
 * knowing k, and a million equal codes cost a page or two.
 *
 * What to forget.  Only about `keep` candidates are kept.  `cut` is the minimum
 * distance such that at least `keep` candidates are within it.  Codes at cut on
 * pages to come have larger ranks than all those, so a page need only be asked
 * for codes within cut - 1.  cut changes after a whole page only: hence the
 * candidates within cut are, at any time, exactly the first of the total order,
 * up to and including (cut, cut_rank), cut_rank being the page that last
 * lowered it.  When they have all been answered, a new batch visits the
 * pages again for what comes strictly after (cut, cut_rank), and keeps eight
 * times as many, as far as memory allows.
 *
 * Once batches have read more pages than there are within reach, one more visit
 * gives all that is left to a sort, which may spill.  A batch reads no page
 * twice; so none is begun unless one visit's worth has been read at most, and
 * all in all no more than three visits' worth are.  That visit goes in block
 * order, since the sort restores the order of ranks.
 *
 * Candidates are in an array in the order of their ranks, with a histogram of
 * distances beside it: taking one in costs no comparison, and the array is
 * swept of those beyond cut when it is full.
 *
 * Without an order, all hits within the radius are answers.  They are gathered
 * from several pages, more each time, and given in the order of their rows: who
 * fetches the rows from a table then goes through it from its beginning to its
 * end.  The first page's are given at once, to whoever wants only one.
 */
#include "core/search.h"

#include <string.h>

/*
 * Candidates cost little to keep but a batch to have forgotten: enough for the
 * usual LIMIT and the rows that a filter or visibility takes away.
 */
#define FIRST_BATCH 128
#define BATCH_GROWTH 8

/*
 * Without an order, so many times what was given is gathered next: whoever stops
 * in the middle has about five times the hits looked up that were wanted, at most.
 */
#define GATHER_GROWTH 4

struct Search
{
	int			bits;
	int			words;
	int			page_codes;
	int64_t		max_kept;		/* as memory allows */
	PageReader	reader;
	CandidateSort sort;
	SearchMemory memory;

	/* the question */
	SearchQuestion question;
	int			top;			/* maximum distance of an answer */

	/* the visit */
	Visit		visit;
	bool		pending_done;
	uint32_t	pending_next;

	/* the batch */
	int64_t		keep;
	int			cut;			/* top + 1 as long as nothing is forgotten */
	uint64_t	cut_rank;
	int			floor;			/* answers up to (floor, floor_rank) were given */
	uint64_t	floor_rank;
	int64_t		within_cut;		/* candidates, answered ones too, within cut */
	uint32_t   *histogram;		/* [bits + 2]: of the candidates */

	int64_t		visit_pages;	/* within reach of a visit; -1: not counted yet */
	bool		sorting;		/* what is left goes to the sort */
	bool		sorted;			/* and comes from it */

	Candidate  *candidates;		/* not answered, in the order of rank */
	size_t		count;
	size_t		capacity;
	int			min_distance;	/* among them */

	Candidate  *answers;
	size_t		answer_next;
	size_t		answer_count;
	size_t		answer_capacity;
	size_t		gather;			/* unordered: so many before any is given */
	uint32_t   *start;			/* [bits + 2]: counting sort's */

	PageHits	hits;			/* of the page at hand */

	SearchCounters counters;
};

static void *
search_reallocate(Search *search, void *old, size_t bytes)
{
	return search->memory.reallocate(search->memory.arena, old, bytes);
}

Search *
search_create(int bits, int page_codes, const PageReader *reader, const CandidateSort *sort,
			  const SearchMemory *allocator)
{
	Search	   *search = allocator->reallocate(allocator->arena, NULL, sizeof(Search));

	memset(search, 0, sizeof(Search));
	search->bits = bits;
	search->words = HAMMING_WORDS(bits);
	search->page_codes = page_codes;
	search->reader = *reader;
	search->sort = *sort;
	search->memory = *allocator;
	search->histogram = search_reallocate(search, NULL, (bits + 2) * sizeof(uint32_t));
	search->start = search_reallocate(search, NULL, (bits + 2) * sizeof(uint32_t));
	hits_create(&search->hits, page_codes, allocator);
	return search;
}

/* Up to 2·keep candidates and as many answers, arrays growing by half. */
static int64_t
search_max_kept(size_t memory)
{
	int64_t		most = memory / (8 * sizeof(Candidate));

	return most < FIRST_BATCH ? FIRST_BATCH : most;
}

int64_t
search_batch_rows(int batch, size_t memory)
{
	int64_t		most = search_max_kept(memory);
	int64_t		keep = FIRST_BATCH;

	for (int i = 0; i < batch && keep < most; i++)
		keep *= BATCH_GROWTH;
	return keep < most ? keep : most;
}

void
search_set_batches(Search *search, int first, int max)
{
	search->keep = first;
	search->max_kept = max;
}

size_t
search_size(const Search *search)
{
	return search->visit.capacity +
		(search->capacity + search->answer_capacity) * sizeof(Candidate);
}

const SearchCounters *
search_counters(const Search *search)
{
	return &search->counters;
}

static void
search_begin_batch(Search *search)
{
	search->counters.batches++;
	search->cut = search->top + 1;
	search->cut_rank = 0;
	search->within_cut = 0;
	if (search->top >= 0)
		memset(search->histogram, 0, (search->top + 2) * sizeof(uint32_t));
	search->count = 0;
	search->min_distance = INT16_MAX;
	search->answer_next = search->answer_count = 0;
	search->pending_done = false;
	search->pending_next = 0;
}

void
search_begin(Search *search, const SearchQuestion *question,
			 const int16_t *bound, uint32_t pages, size_t memory)
{
	search->question = *question;
	search->top = question->ball.radius < search->bits ? question->ball.radius : search->bits;
	hits_begin(&search->hits);
	search->floor = -1;
	search->floor_rank = 0;
	search->keep = FIRST_BATCH;
	search->gather = 1;
	search->max_kept = search_max_kept(memory);
	search->visit_pages = -1;
	search->sorting = search->sorted = false;
	memset(&search->counters, 0, sizeof(SearchCounters));
	visit_begin(&search->visit, bound, pages, &search->memory);
	if (!question->ordered)
		visit_all(&search->visit, search->top);
	search_begin_batch(search);
}

/* Pages that one visit reads at most; pending ones have been counted by the first. */
static void
search_count_visit(Search *search)
{
	search->visit_pages = search->pending_next;
	for (uint32_t p = 0; p < search->visit.pages; p++)
		search->visit_pages += search->visit.bound[p] <= search->top;
}

/* The next batch: what comes after all that was answered, and more of it, or all. */
static void
search_next_batch(Search *search)
{
	if (search->visit_pages < 0)
		search_count_visit(search);
	search->floor = search->cut;
	search->floor_rank = search->cut_rank;
	if ((int64_t) (search->counters.pages + search->counters.pending_pages) > search->visit_pages)
	{
		/* Memory is the sort's from now on, but for a page's worth. */
		size_t		bytes = search->page_codes * sizeof(Candidate);

		search->keep = INT64_MAX;
		search->capacity = search->answer_capacity = 0;
		search->candidates = search_reallocate(search, search->candidates, bytes);
		search->answers = search_reallocate(search, search->answers, bytes);
		search->capacity = search->answer_capacity = search->page_codes;
		search->sort.begin(search->sort.context);
		search->sorting = true;
		visit_rewind(&search->visit);
		visit_all(&search->visit, search->top);
	}
	else
	{
		search->keep *= BATCH_GROWTH;
		if (search->keep > search->max_kept)
			search->keep = search->max_kept;
		visit_rewind(&search->visit);
	}
	search_begin_batch(search);
}

static inline RowPointer
search_row(const PageColumns *columns, uint32_t position)
{
	return *(const RowPointer *) (columns->row_base + (int64_t) position * columns->row_stride);
}

static bool
search_passes_filters(const Search *search, const uint64_t *code)
{
	for (int f = 0; f < search->question.filter_count; f++)
	{
		const BallSet *filter = &search->question.filters[f];
		bool		within = false;

		for (int b = 0; b < filter->count && !within; b++)
			within = hamming_kernels->distance((const uint8_t *) filter->ball[b].query, (const uint8_t *) code,
											   search->words * sizeof(uint64_t)) <= filter->ball[b].radius;
		if (!within)
			return false;
	}
	return true;
}

/* Give the array a page's worth of elements after count. */
static void
search_grow(Search *search, Candidate **array, size_t count, size_t *capacity)
{
	size_t		wanted = count + search->page_codes;

	if (wanted <= *capacity)
		return;
	wanted += wanted / 2;
	*array = search_reallocate(search, *array, wanted * sizeof(Candidate));
	*capacity = wanted;				/* not before: there may be no memory for it */
}

/*
 * Take the hits of a page in, then lower the cut as far as they allow:
 * while `keep` candidates are nearer than cut, cut is too far.
 */
static void
search_take_candidates(Search *search, const PageColumns *columns, int hits, uint64_t rank)
{
	if (search->count + hits > search->capacity)
	{
		size_t		kept = 0;

		/* Sweep out the candidates beyond cut. */
		for (size_t i = 0; i < search->count; i++)
			if (search->candidates[i].distance <= search->cut)
				search->candidates[kept++] = search->candidates[i];
		search->count = kept;
		search_grow(search, &search->candidates, search->count, &search->capacity);
	}
	for (int i = 0; i < hits; i++)
	{
		int			distance = search->hits.distances[i];
		uint32_t	position = search->hits.positions[i];

		if (distance < search->floor ||
			(distance == search->floor && rank <= search->floor_rank))
			continue;
		if (search->question.filter_count > 0 &&
			!search_passes_filters(search, columns->codes + (size_t) position * search->words))
			continue;
		search->candidates[search->count].distance = (uint16_t) distance;
		search->candidates[search->count].row = search_row(columns, position);
		search->count++;
		search->histogram[distance]++;
		search->within_cut++;
		search->counters.candidates++;
		if (distance < search->min_distance)
			search->min_distance = distance;
	}
	while (search->within_cut - search->histogram[search->cut] >= search->keep)
	{
		search->within_cut -= search->histogram[search->cut];
		search->cut--;
		search->cut_rank = rank;
	}
}

/* Without an order, all hits of a page are answers. */
static void
search_take_answers(Search *search, const PageColumns *columns, int hits)
{
	size_t		before = search->answer_count;

	search_grow(search, &search->answers, search->answer_count, &search->answer_capacity);
	for (int i = 0; i < hits; i++)
	{
		uint32_t	position = search->hits.positions[i];

		if (search->question.filter_count > 0 &&
			!search_passes_filters(search, columns->codes + (size_t) position * search->words))
			continue;
		search->answers[search->answer_count].distance = search->hits.distances[i];
		search->answers[search->answer_count].row = search_row(columns, position);
		search->answer_count++;
	}
	search->counters.candidates += search->answer_count - before;
}

/* Put what was gathered in the order of its rows, and gather more the next time. */
static void
search_order_by_row(Search *search)
{
	if (search->answer_count > search->capacity)
	{
		search->candidates = search_reallocate(search, search->candidates, search->answer_capacity * sizeof(Candidate));
		search->capacity = search->answer_capacity;
	}
	candidates_by_row(search->answers, search->answer_count, search->candidates);
	search->gather = GATHER_GROWTH * search->answer_count;
	if (search->gather > search->max_kept)
		search->gather = search->max_kept;
}

/*
 * Answer the candidates up to the given distance, put in order by a counting
 * sort, which keeps the order of ranks among equals.
 */
static void
search_answer_until(Search *search, int distance)
{
	size_t		left = 0;
	uint32_t	sum = 0;
	int			next_min_distance = INT16_MAX;

	if (distance > search->cut)
		distance = search->cut;
	search->answer_next = search->answer_count = 0;
	if (search->count > search->answer_capacity)
	{
		search->answers = search_reallocate(search, search->answers, search->capacity * sizeof(Candidate));
		search->answer_capacity = search->capacity;
	}
	if (search->min_distance <= distance)
		memset(search->start + search->min_distance, 0,
			   (distance - search->min_distance + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < search->count; i++)
		if (search->candidates[i].distance <= distance)
			search->start[search->candidates[i].distance]++;
	for (int d = search->min_distance; d <= distance; d++)
	{
		uint32_t	size = search->start[d];

		search->start[d] = sum;
		sum += size;
	}
	for (size_t i = 0; i < search->count; i++)
	{
		Candidate	candidate = search->candidates[i];

		if (candidate.distance <= distance)
			search->answers[search->start[candidate.distance]++] = candidate;
		else
		{
			if (candidate.distance < next_min_distance)
				next_min_distance = candidate.distance;
			search->candidates[left++] = candidate;
		}
	}
	search->answer_count = sum;
	search->count = left;
	search->min_distance = next_min_distance;
}

/* Give the candidates, which are of one page, to the sort: those of each distance together. */
static void
search_put_to_sort(Search *search, uint64_t rank)
{
	size_t		end;

	search_answer_until(search, search->cut);
	for (size_t i = 0; i < search->answer_count; i = end)
	{
		int			distance = search->answers[i].distance;

		for (end = i + 1; end < search->answer_count && search->answers[end].distance == distance;)
			end++;
		search->sort.put(search->sort.context, distance, rank, search->answers + i, (int) (end - i));
	}
	search->answer_count = 0;
}

static void
search_take_columns(Search *search, const PageColumns *columns, uint64_t rank)
{
	int			hits = hits_find(&search->hits, &search->question, columns, search->words, search->cut - 1);

	search->counters.codes += search->hits.compared;
	if (hits == 0)
		return;
	if (!search->question.ordered)
	{
		search_take_answers(search, columns, hits);
		return;
	}
	search_take_candidates(search, columns, hits, rank);
}

/* The sort may write files, which nobody who waits for the page should wait for. */
static void
search_release_page(Search *search, uint64_t rank)
{
	search->reader.release(search->reader.context);
	if (search->sorting && search->count > 0)
		search_put_to_sort(search, rank);
}

/* Pending pages have the ranks before all others. */
static bool
search_read_pending(Search *search)
{
	PageColumns	columns = {0};

	if (!search->reader.pending(search->reader.context, search->pending_next, &columns))
		return false;
	if (columns.count < 0)
	{
		search->pending_done = true;
		return true;
	}
	search->counters.pending_pages++;
	search_take_columns(search, &columns, search->pending_next);
	search_release_page(search, search->pending_next++);
	return true;
}

static bool
search_read_page(Search *search, uint32_t page, int bound)
{
	const Visit *visit = &search->visit;
	uint64_t	rank = (uint64_t) (bound + 1) << 32 | page;
	PageColumns	columns = {0};

	if (!search->reader.read(search->reader.context, page,
							 visit->chunk + visit->position + 1,
							 visit->count - visit->position - 1, &columns))
		return false;
	search->counters.pages++;
	search_take_columns(search, &columns, rank);
	search_release_page(search, rank);
	return true;
}

/* Read pages until there is something to answer. */
static SearchResult
search_advance(Search *search)
{
	for (;;)
	{
		bool		exhausted = false;
		uint32_t	page;
		int			bound;

		if (search->sorted)
		{
			search->answer_count = search->sort.next(search->sort.context, search->answers);
			return search->answer_count > 0 ? SEARCH_FOUND : SEARCH_END;
		}
		if (!search->pending_done)
		{
			if (!search_read_pending(search))
				return SEARCH_CHANGED;
		}
		else if (visit_peek(&search->visit, search->cut - 1, &page, &bound))
		{
			if (search->min_distance <= bound)
				search_answer_until(search, bound);
			else
			{
				if (!search_read_page(search, page, bound))
					return SEARCH_CHANGED;
				search->visit.position++;
			}
		}
		else
		{
			/* No page left can add to what is within cut. */
			exhausted = true;
			search->sorted = search->sorting;
			if (search->sorted)
				continue;
			if (search->count > 0)
				search_answer_until(search, search->cut);
			if (search->answer_count == 0)
			{
				if (search->cut > search->top)
					return SEARCH_END;
				search_next_batch(search);
			}
		}
		if (search->answer_count >= search->gather || (exhausted && search->answer_count > 0))
		{
			if (!search->question.ordered)
				search_order_by_row(search);
			return SEARCH_FOUND;
		}
	}
}

SearchResult
search_next(Search *search, Candidate *answer)
{
	if (search->answer_next >= search->answer_count)
	{
		SearchResult result;

		search->answer_next = search->answer_count = 0;
		result = search_advance(search);
		if (result != SEARCH_FOUND)
			return result;
	}
	*answer = search->answers[search->answer_next++];
	search->counters.returned++;
	if (answer->distance > search->counters.radius)
		search->counters.radius = answer->distance;
	return SEARCH_FOUND;
}
