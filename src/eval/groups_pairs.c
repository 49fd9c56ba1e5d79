/*
 * eval/groups_pairs.c: the pairs of codes within a radius, joined to sets.
 *
 * The distinct codes come in the order of centres, with a directory that tells
 * for each code which pages can hold a code within the radius.  Where it
 * excludes little, as of codes without clusters, they are sorted by each of
 * radius + 1 bands instead (core/search_mih.c): two codes within the radius are
 * equal in one of them, so the pages that a code wants are those with its own
 * value.
 *
 * Pages before a code's own have met it already.  A batch of codes collects
 * (page, code) pairs until the list is full.  Then every page of the list is
 * read once and compared with all codes that want it.
 *
 * Each pair that is found is joined by union-find.  A page whose codes are all
 * in one set need not be compared with a code of that set, and one set in all
 * ends the search: so a large radius costs less, not more.
 */
#include "eval/groups.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "port/pg_bswap.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

/* Is a line of progress wanted, once a second? */
bool
groups_report_due(Groups *groups)
{
	instr_time	now;

	if (!xmhash_progress)
		return false;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, groups->reported);
	if (INSTR_TIME_GET_DOUBLE(now) < 1)
		return false;
	INSTR_TIME_SET_CURRENT(groups->reported);
	return true;
}

Order *
groups_begin_order(int bands, int band)
{
	Order	   *order = palloc0(sizeof(Order));

	order->bands = bands;
	order->band = band;
	order->codes = BufFileCreateTemp(false);
	if (bands > 0)
		order->numbers = BufFileCreateTemp(false);
	return order;
}

/* Begin a page at that place with a code whose key (distance or band value) is the least on it. */
void
groups_begin_page(Order *order, uint32 place, uint16 key)
{
	if (order->pages == order->capacity)
	{
		order->capacity = Max(1024, order->capacity * 2);
		order->min = groups_enlarge(order->min, order->capacity, sizeof(int16));
		order->max = groups_enlarge(order->max, order->capacity, sizeof(int16));
		order->value = groups_enlarge(order->value, order->capacity, sizeof(uint16));
		order->start = groups_enlarge(order->start, (Size) order->capacity + 1, sizeof(uint32));
	}
	order->min[order->pages] = (int16) key;
	order->value[order->pages] = key;
	order->start[order->pages] = place;
	order->pages++;
}

static void
groups_read(BufFile *file, uint32 first, int count, Size size, void *target)
{
	if (BufFileSeek(file, 0, (off_t) ((int64) first * size), SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file: %m")));
	BufFileReadExact(file, target, count * size);
}

/* The same codes in the order of one band's value. */
static Order *
groups_sort_band(Groups *groups, const Order *numbered, int bands, int band)
{
	Order	   *order = groups_begin_order(bands, band);
	Size		size = groups->words * sizeof(uint64);
	TupleDesc	descriptor = CreateTemplateTupleDesc(1);
	AttrNumber	column = 1;
	Oid			operator = ByteaLessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	bytea	   *record = palloc(VARHDRSZ + 6 + size);	/* value, number, code */
	uint8	   *content = (uint8 *) VARDATA(record);
	uint64	   *page = palloc((Size) groups->page_codes * size);
	TupleTableSlot *slot;
	TupleTableSlot *sorted;
	Tuplesortstate *sort;
	uint32		place = 0;

	TupleDescInitEntry(descriptor, 1, "record", BYTEAOID, -1, 0);
	TupleDescFinalize(descriptor);
	slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
	sorted = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	sort = tuplesort_begin_heap(descriptor, 1, &column, &operator, &collation, &nulls_first,
								groups_memory(2), NULL, TUPLESORT_NONE);
	SET_VARSIZE(record, VARHDRSZ + 6 + size);
	for (uint32 p = 0; p < numbered->pages; p++)
	{
		int			codes = (int) (numbered->start[p + 1] - numbered->start[p]);

		CHECK_FOR_INTERRUPTS();
		groups_read(numbered->codes, numbered->start[p], codes, size, page);
		for (int i = 0; i < codes; i++)
		{
			const uint64 *code = page + (Size) i * groups->words;
			uint16		value = pg_hton16((uint16) band_value(code, groups->bits, bands, band));
			uint32		number = pg_hton32(numbered->start[p] + i);

			memcpy(content, &value, 2);
			memcpy(content + 2, &number, 4);
			memcpy(content + 6, code, size);
			ExecClearTuple(slot);
			slot->tts_values[0] = PointerGetDatum(record);
			slot->tts_isnull[0] = false;
			ExecStoreVirtualTuple(slot);
			tuplesort_puttupleslot(sort, slot);
		}
	}
	tuplesort_performsort(sort);
	while (tuplesort_gettupleslot(sort, true, false, sorted, NULL))
	{
		uint8	   *found;
		uint16		value;
		uint32		number;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(sorted);
		found = (uint8 *) VARDATA_ANY(DatumGetPointer(sorted->tts_values[0]));
		memcpy(&value, found, 2);
		memcpy(&number, found + 2, 4);
		number = pg_ntoh32(number);
		if (order->pages == 0 || place - order->start[order->pages - 1] == groups->page_codes)
			groups_begin_page(order, place, pg_ntoh16(value));
		BufFileWrite(order->codes, found + 6, size);
		BufFileWrite(order->numbers, &number, sizeof(number));
		place++;
	}
	order->start[order->pages] = place;
	tuplesort_end(sort);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(sorted);
	pfree(record);
	pfree(page);
	return order;
}

void
groups_end_order(Order *order)
{
	BufFileClose(order->codes);
	if (order->numbers)
		BufFileClose(order->numbers);
	pfree(order->min);
	pfree(order->max);
	pfree(order->value);
	pfree(order->start);
	pfree(order);
}

/* ---------- Pairs within the radius ---------- */

/* Codes that look for neighbours together, and the pages that each wants. */
typedef struct Batch
{
	int			count;
	int			capacity;
	uint64	   *code;			/* [capacity × words] */
	uint32	   *number;			/* [capacity] */
	uint32		pairs;
	uint32		pair_capacity;
	uint32	   *page;			/* [pair_capacity] */
	int		   *wants;			/* [pair_capacity]: position in the batch of who wants that page */
	int		   *by_page;		/* [pair_capacity]: the same, page after page */
	uint32	   *end;			/* [pages + 1]: where a page's ends in by_page */
	uint32	   *whole;			/* [pages]: a code of the only set on the page, or NOT_WHOLE */
	uint64	   *content;		/* [page_codes × words]: the page at hand */
	uint32	   *content_number;	/* [page_codes] */
	uint32	   *positions;		/* [page_codes + HAMMING_SLACK] */
	uint16	   *distances;		/* [page_codes + HAMMING_SLACK], and [centres] */
	int16	   *bound;			/* [pages] */
} Batch;

#define NOT_WHOLE PG_UINT32_MAX

/* A page's codes and their numbers; returns how many. */
static int
groups_load(const Groups *groups, const Order *order, uint32 page, uint64 *codes, uint32 *numbers)
{
	uint32		start = order->start[page];
	int			count = (int) (order->start[page + 1] - start);

	groups_read(order->codes, start, count, groups->words * sizeof(uint64), codes);
	if (order->numbers)
		groups_read(order->numbers, start, count, sizeof(uint32), numbers);
	else
		for (int i = 0; i < count; i++)
			numbers[i] = start + i;
	return count;
}

/* Compare a page with the codes of the batch that want it. */
static void
groups_compare(Groups *groups, const Order *order, Batch *batch, uint32 page, const int *wants, uint32 count)
{
	int			codes = 0;

	for (uint32 i = 0; i < count && groups->sets > 1; i++)
	{
		uint32		set = groups_find(groups, batch->number[wants[i]]);
		int			hits;

		if (i % 64 == 63)
			CHECK_FOR_INTERRUPTS();
		if (batch->whole[page] != NOT_WHOLE && set == groups_find(groups, batch->whole[page]))
			continue;
		if (codes == 0)
			codes = groups_load(groups, order, page, batch->content, batch->content_number);
		hits = hamming_kernels->within(batch->code + (Size) wants[i] * groups->words, batch->content,
									   groups->words, codes, groups->radius,
									   batch->positions, batch->distances);
		for (int h = 0; h < hits; h++)
			set = groups_join(groups, set, batch->content_number[batch->positions[h]]);
		if (hits > codes / 2 && batch->whole[page] == NOT_WHOLE)
		{
			int			same = 0;

			while (same < codes && groups_find(groups, batch->content_number[same]) == set)
				same++;
			if (same >= codes)
				batch->whole[page] = set;
		}
	}
}

/* All pages that the batch wants, in their order: counting sort of the pairs by page. */
static void
groups_flush(Groups *groups, const Order *order, Batch *batch)
{
	uint32		begin = 0;

	memset(batch->end, 0, ((Size) order->pages + 1) * sizeof(uint32));
	for (uint32 i = 0; i < batch->pairs; i++)
		batch->end[batch->page[i] + 1]++;
	for (uint32 p = 0; p < order->pages; p++)
		batch->end[p + 1] += batch->end[p];
	for (uint32 i = 0; i < batch->pairs; i++)
		batch->by_page[batch->end[batch->page[i]]++] = batch->wants[i];
	/* end[p] was where page p begins, and is where it ends now. */
	for (uint32 p = 0; p < order->pages && groups->sets > 1; p++)
	{
		if (batch->end[p] > begin)
		{
			CHECK_FOR_INTERRUPTS();
			groups_compare(groups, order, batch, p, batch->by_page + begin, batch->end[p] - begin);
		}
		begin = batch->end[p];
	}
	batch->count = 0;
	batch->pairs = 0;
}

/* The pages that can hold a neighbour of a code on page `own`, from there on: those before have met it. */
static uint32
groups_want(const Groups *groups, const Order *order, Batch *batch, uint32 own, const uint64 *code,
			uint32 *pages)
{
	uint32		wanted = 0;

	if (order->bands > 0)
	{
		int			value = band_value(code, groups->bits, order->bands, order->band);

		for (uint32 p = own; p < order->pages && order->value[p] <= value; p++)
			pages[wanted++] = p;
		return wanted;
	}
	directory_bounds(&order->directory, code, batch->distances, batch->bound);
	for (uint32 p = own; p < order->pages; p++)
		if (batch->bound[p] <= groups->radius)
			pages[wanted++] = p;
	return wanted;
}

static void
groups_begin_batch(const Groups *groups, const Order *order, Batch *batch)
{
	Size		memory = (Size) groups_memory(4) * 1024;

	memset(batch, 0, sizeof(Batch));
	/* A code may want every page. */
	batch->pair_capacity = (uint32) Max((Size) order->pages, memory / 2 / (3 * sizeof(uint32)));
	batch->capacity = (int) Max(1, memory / 2 / (groups->words * sizeof(uint64) + sizeof(uint32)));
	batch->code = palloc((Size) batch->capacity * groups->words * sizeof(uint64));
	batch->number = palloc((Size) batch->capacity * sizeof(uint32));
	batch->page = palloc_extended((Size) batch->pair_capacity * sizeof(uint32), MCXT_ALLOC_HUGE);
	batch->wants = palloc_extended((Size) batch->pair_capacity * sizeof(int), MCXT_ALLOC_HUGE);
	batch->by_page = palloc_extended((Size) batch->pair_capacity * sizeof(int), MCXT_ALLOC_HUGE);
	batch->end = palloc_extended(((Size) order->pages + 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	batch->whole = palloc_extended((Size) order->pages * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 p = 0; p < order->pages; p++)
		batch->whole[p] = NOT_WHOLE;
	batch->content = palloc((Size) groups->page_codes * groups->words * sizeof(uint64));
	batch->content_number = palloc((Size) groups->page_codes * sizeof(uint32));
	batch->positions = palloc(((Size) groups->page_codes + HAMMING_SLACK) * sizeof(uint32));
	batch->distances = palloc(((Size) Max(groups->page_codes, groups->centres) + HAMMING_SLACK) * sizeof(uint16));
	batch->bound = palloc_extended((Size) order->pages * sizeof(int16), MCXT_ALLOC_HUGE);
}

static void
groups_report(Groups *groups, const Order *order, uint32 met)
{
	if (!groups_report_due(groups))
		return;
	if (order->bands > 0)
		ereport(INFO,
				(errmsg("%u of %u different codes compared by band %d of %d",
						met, groups->codes, order->band + 1, order->bands)));
	else
		ereport(INFO, (errmsg("%u of %u different codes compared", met, groups->codes)));
}

/* Every code of an order meets those that can be its neighbours. */
static void
groups_search(Groups *groups, const Order *order)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash pairs of codes",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Batch		batch;
	uint64	   *own = palloc((Size) groups->page_codes * groups->words * sizeof(uint64));
	uint32	   *own_number = palloc((Size) groups->page_codes * sizeof(uint32));

	groups_begin_batch(groups, order, &batch);
	for (uint32 page = 0; page < order->pages && groups->sets > 1; page++)
	{
		int			codes = groups_load(groups, order, page, own, own_number);

		for (int i = 0; i < codes && groups->sets > 1; i++)
		{
			const uint64 *code = own + (Size) i * groups->words;
			uint32		wanted;

			CHECK_FOR_INTERRUPTS();
			if (batch.count == batch.capacity || batch.pair_capacity - batch.pairs < order->pages)
			{
				groups_flush(groups, order, &batch);
				groups_report(groups, order, order->start[page] + i);
			}
			wanted = groups_want(groups, order, &batch, page, code, batch.page + batch.pairs);
			for (uint32 w = 0; w < wanted; w++)
				batch.wants[batch.pairs++] = batch.count;
			memcpy(batch.code + (Size) batch.count * groups->words, code, groups->words * sizeof(uint64));
			batch.number[batch.count++] = own_number[i];
		}
	}
	groups_flush(groups, order, &batch);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/* ---------- Which order ---------- */

/*
 * What it takes to sort a code by a band, in comparisons with a page of codes,
 * and how many bounds of pages are computed in the time of one.  Fitted to the
 * times of 80 calls (100,000 and 1,000,000 codes of 64 bits, uniform, clustered,
 * learned, and dHash of smooth images; radius 1 to 8; each by centres and by
 * bands): with these the sooner one is chosen wherever they differ by more than
 * a quarter.
 */
#define SORTING_PAGES 2.5
#define BOUNDS_PER_PAGE 256.0

static int
groups_compare_values(const void *a, const void *b)
{
	return (int) *(const uint16 *) a - (int) *(const uint16 *) b;
}

/*
 * Pages that a code will be compared with on average, all bands together.  Two
 * codes share a band's value as often as two of the sample do.
 */
static double
groups_band_pages(const Groups *groups, int bands)
{
	int			samples = (int) Min(Min(groups->row_count, groups->sample_capacity), 16384);
	uint16	   *value = palloc(samples * sizeof(uint16));
	double		pages = 0;

	for (int band = 0; band < bands; band++)
	{
		double		pairs = 0;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < samples; i++)
			value[i] = (uint16) band_value(groups->sample + (Size) i * groups->words, groups->bits, bands, band);
		qsort(value, samples, sizeof(uint16), groups_compare_values);
		for (int i = 0, first = 0; i < samples; i++)
		{
			if (value[i] != value[first])
				first = i;
			pairs += i - first;
		}
		pages += 1 + groups->codes * (pairs / ((double) samples * Max(samples - 1, 1))) / groups->page_codes;
	}
	pfree(value);
	return pages;
}

/* The same by centres, of some codes. */
static double
groups_centre_pages(const Groups *groups, const Order *order)
{
	int			samples = (int) Min(Min(groups->row_count, groups->sample_capacity), 256);
	uint16	   *distances = palloc((Size) (groups->centres + HAMMING_SLACK) * sizeof(uint16));
	int16	   *bound = palloc_extended((Size) order->pages * sizeof(int16), MCXT_ALLOC_HUGE);
	double		pages = 0;

	for (int i = 0; i < samples; i++)
	{
		CHECK_FOR_INTERRUPTS();
		directory_bounds(&order->directory, groups->sample + (Size) i * groups->words, distances, bound);
		for (uint32 p = 0; p < order->pages; p++)
			pages += bound[p] <= groups->radius;
	}
	pfree(distances);
	pfree(bound);
	/* Half of them have met the code already. */
	return pages / samples / 2;
}

/*
 * Codes within the radius are equal in one of radius + 1 bands at least, so
 * those orders, one after the other, find all pairs as well.  Which is sooner
 * depends on the radius and on how the codes are clustered.
 */
void
groups_find_pairs(Groups *groups, const Order *numbered)
{
	int			bands = groups->radius + 1;
	bool		by_centres;

	/* Equal codes are one code already. */
	if (groups->radius == 0)
		return;
	by_centres = groups->radius >= groups->bits / 2 ||
		groups_centre_pages(groups, numbered) + numbered->pages / BOUNDS_PER_PAGE <=
		groups_band_pages(groups, bands) + bands * SORTING_PAGES;
	pfree(groups->sample);
	elog(DEBUG1, "codes of relation \"%s\", %d on a page, meet by %s", get_rel_name(groups->relation),
		 groups->page_codes, by_centres ? "centres" : psprintf("%d bands", bands));
	if (by_centres)
	{
		groups_search(groups, numbered);
		return;
	}
	for (int band = 0; band < bands && groups->sets > 1; band++)
	{
		Order	   *order = groups_sort_band(groups, numbered, bands, band);

		groups_search(groups, order);
		groups_end_order(order);
	}
}
