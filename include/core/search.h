/*
 * core/search.h: the part of the index that needs no server: the centres, the
 * bounds of pages, the order in which pages are visited, the best so far.
 *
 * A code is HAMMING_WORDS(bits) uint64 words.  Pages are numbered from 0 over
 * all segments that a search looks at, one segment after the other.
 */
#ifndef SEARCH_H
#define SEARCH_H

#include "core/env.h"
#include "core/hamming.h"
#include "core/search_key.h"

/* ---------- Centres (core/search_centre.c) ---------- */

/* Never more centres than this. */
#define MAX_CENTRES 4096

/* How many centres a segment of so many pages deserves. */
extern int	centres_wanted(double pages, int bits);

/* How many sampled codes it takes to find that many centres. */
extern int	centres_sample_size(int wanted, int bits);

/*
 * Where in its cell, that of the given centre, a code at that distance from the
 * centre stands; the other way round, the distance at a place.
 */
static inline int
centre_place(uint32_t centre, int distance, int bits)
{
	return centre % 2 == 0 ? distance : bits - distance;
}

/*
 * Find at most `wanted` centres of the sample by k-majority; returns how many
 * there are, at least one.  centres[wanted × words].  The same
 * sample and seed give the same centres.
 */
extern int	centres_find(const CoreEnv *env, int bits,
						 const uint64_t *sample, int samples,
						 int wanted, uint64_t seed, uint64_t *centres);

/* ---------- Pages ---------- */

/* Bytes of a page of the index that no row can have. */
#define PAGE_OVERHEAD 48

/* Rows on a page that has room for so many bytes: a code and a row pointer each. */
#define PAGE_ROWS(bytes, words) ((int) ((bytes) / ((words) * sizeof(uint64_t) + sizeof(RowPointer))))

/* At a change of centre, a page filled to this much is closed. */
#define PAGE_NEARLY_FULL(rows) ((rows) - (rows) / 4)

/* A heap tuple's address: the bytes of the server's ItemPointerData. */
typedef struct RowPointer
{
	uint16_t	part[3];
} RowPointer;

/* ---------- Directories and bounds (core/search_bound.c) ---------- */

/* What a page holds of one centre: codes between min and max away. */
typedef struct Span
{
	uint32_t	page;
	uint32_t	centre;
	int16_t		min;
	int16_t		max;
} Span;

/*
 * What is known of a segment's pages without reading them.  A page holds codes
 * of one centre, or of a few successive ones where one ends and the next
 * begins.  Its first span is kept apart from the others, so that nearly all of
 * the work is done on plain arrays: the pages that begin with centre c are
 * first[c] … first[c + 1] - 1.
 */
typedef struct Directory
{
	int			words;
	uint32_t	pages;
	int			centres;		/* 0: nothing is known, all bounds are 0 */
	const uint64_t *centre;		/* [centres × words] */
	const uint32_t *first;		/* [centres + 1] */
	const int16_t *min;			/* [pages]: of the first span */
	const int16_t *max;			/* [pages] */
	int			extras;
	const Span *extra;			/* [extras]: the other spans */
	const int64_t *least;		/* [columns × pages]: of the keys of each filter column */
	const int64_t *greatest;	/* [columns × pages] */
} Directory;

/* Bound of a page that needs no visit at all. */
#define BOUND_NEVER INT16_MAX

/*
 * Give a directory, which has pages and centres, all spans [spans] in their order: pages ascend
 * and none is left out, and so do the centres on a page.  The arrays are its
 * own from then on: first [centres + 1], min and max [pages], extra [spans - pages].
 */
extern void directory_take_spans(Directory *directory, const Span *span, size_t spans,
								 uint32_t *first, int16_t *min, int16_t *max, Span *extra);

/*
 * Lower bounds of d(query, code) over the codes of every page, bound[pages].
 * distances[centres] is scratch, and holds the centres' distances afterwards.
 */
extern void directory_bounds(const Directory *directory, const uint64_t *query,
							 uint16_t *distances, int16_t *bound);

/*
 * Set to BOUND_NEVER the pages that hold no code within radius of the query;
 * others[pages] is scratch too.
 */
extern void directory_exclude(const Directory *directory, const uint64_t *query,
							  int radius, uint16_t *distances, int16_t *others,
							  int16_t *bound);

/*
 * Set to BOUND_NEVER the pages that cannot hold the code itself: equal codes
 * have the same nearest centre, at the same distance.
 */
extern void directory_exclude_unequal(const Directory *directory, const uint64_t *code,
									  int16_t *bound);

/* Set to BOUND_NEVER the pages on which no key of a filter column can fulfil its condition. */
extern void directory_exclude_keys(const Directory *directory, const KeyCondition *conditions,
								   int condition_count, int16_t *bound);

/* ---------- Bands (core/search_mih.c) ---------- */

/* The first bits, at most 16, of one of `bands` parts of a code, and how many. */
extern int	band_width(int bits, int bands, int band);
extern int	band_value(const uint64_t *code, int bits, int bands, int band);

/* How far a band's values may be apart within that radius; negative: not probed. */
extern int	band_allowance(int radius, int bands, int band);

/* How many values a search within a radius looks up, at most `max`. */
extern uint32_t band_probes(int bits, int bands, int radius, uint32_t max);

/*
 * Set to 0 the bounds of the band runs' pages that those values are on, of
 * bound[bands × pages]; returns how many.  first[bands × pages] is the minimum
 * value on each page.
 */
extern uint32_t band_mark(const uint16_t *first, uint32_t pages, const uint64_t *query,
						  int bits, int bands, int radius, int16_t *bound);

/* Is `band` the first one whose values lead from the query to the code? */
extern bool band_owns(const uint64_t *query, const uint64_t *code, int bits, int bands,
					  int radius, int band);

/* ---------- Visits (core/search_queue.c) ---------- */

/* Memory of a search; old may be NULL. */
typedef struct SearchMemory
{
	void	   *(*reallocate) (void *arena, void *old, size_t bytes);
	void	   *arena;
} SearchMemory;

/* Pages in the order of (bound, page), those of one bound at a time. */
typedef struct Visit
{
	const int16_t *bound;		/* [pages] */
	uint32_t	pages;
	uint32_t   *chunk;			/* [pages + 1]: pages of the bound at hand */
	int16_t    *group_min;		/* per group of pages, behind chunk: minimum bound to come */
	size_t		capacity;		/* bytes of both */
	uint32_t	count;
	uint32_t	position;
} Visit;

/* A visit that was zero at first keeps its memory from one time to the next. */
extern void visit_begin(Visit *visit, const int16_t *bound, uint32_t pages,
						const SearchMemory *memory);
extern void visit_rewind(Visit *visit);

/* All pages with a bound of at most max_bound, in block order instead. */
extern void visit_all(Visit *visit, int max_bound);

/*
 * The next page whose bound is at most max_bound, left in place: the caller
 * goes past it by position++.  False: there is none (a larger max_bound may find more).
 */
extern bool visit_peek(Visit *visit, int max_bound, uint32_t *page, int *bound);

/* ---------- The search (core/search.c) ---------- */

typedef struct Candidate
{
	uint16_t	distance;
	RowPointer	row;
} Candidate;

/* core/row_order.c: put candidates in the order of their rows' blocks; scratch[count]. */
extern void candidates_by_row(Candidate *candidates, size_t count, Candidate *scratch);

/* The columns of one page; row i is at row_base + i · row_stride bytes. */
typedef struct PageColumns
{
	int			count;
	const uint64_t *codes;		/* [count × words] */
	const char *row_base;
	int			row_stride;
	const void *keys[MAX_KEY_COLUMNS];	/* of each filter column that has a condition: [count] */
	const char *next;			/* what is likely to be compared after this, to be asked for meanwhile */
	size_t		next_bytes;		/* 0: not known */
} PageColumns;

/*
 * Where pages come from.  Columns are valid until release().  read() and
 * pending() return false when the index is no longer what the search believes
 * it to be: the search must start anew.  upcoming[] are the pages that are
 * likely to be read next.  Pending pages are those of no segment, in no order
 * and without bounds: pending(0) begins with the first of them again, and sets
 * count to -1, with nothing to release, when there is no further one.
 */
typedef struct PageReader
{
	void	   *context;
	bool		(*read) (void *context, uint32_t page,
						 const uint32_t *upcoming, uint32_t upcoming_count, PageColumns *columns);
	bool		(*pending) (void *context, uint32_t ordinal, PageColumns *columns);
	void		(*release) (void *context);
} PageReader;

/*
 * Where candidates go that are too many to be kept in memory: a sort that may
 * spill to files.  put() is given those of one page and one distance in their
 * order; next() gives them back, [at most page_codes], in ascending order of
 * (distance, rank), and says how many they are, 0 at the end.  begin() comes
 * before them, and drops what an earlier search has left.
 */
typedef struct CandidateSort
{
	void	   *context;
	void		(*begin) (void *context);
	void		(*put) (void *context, int distance, uint64_t rank, const Candidate *candidates, int count);
	int			(*next) (void *context, Candidate *candidates);
} CandidateSort;

/* A condition on codes: d(query, code) <= radius. */
typedef struct Ball
{
	const uint64_t *query;
	int			radius;
} Ball;

/* A condition on codes: one of the balls holds it. */
typedef struct BallSet
{
	const Ball *ball;
	int			count;
} BallSet;

/*
 * What is searched for: all codes within ball.radius of ball.query that one ball
 * of each filter holds too, and whose keys fulfil all conditions.  Ordered by
 * the distance to ball.query, or in no order, which is faster.
 */
typedef struct SearchQuestion
{
	bool		ordered;
	Ball		ball;
	const BallSet *filters;
	int			filter_count;
	const KeyCondition *conditions;
	int			condition_count;
} SearchQuestion;

/* ---------- Hits (core/search_hits.c) ---------- */

/* The rows of a page that may be answers. */
typedef struct PageHits
{
	uint32_t   *positions;
	uint16_t   *distances;
	uint32_t	compared;		/* codes, to find them */
	uint64_t   *mask;			/* rows whose keys fulfil the conditions */
	uint64_t   *scratch;
	double		passing_share;	/* of the rows of late pages, those that fulfil the conditions */
	double		near_share;		/* and those near enough */
} PageHits;

extern void hits_create(PageHits *hits, int page_codes, const SearchMemory *memory);
extern void hits_begin(PageHits *hits);

/* Find the rows within max_distance that fulfil the question's conditions, and return how many there are. */
extern int	hits_find(PageHits *hits, const SearchQuestion *question, const PageColumns *columns,
					  int words, int max_distance);

/* What a search has done so far: for xmhash_last_scan() and tests. */
typedef struct SearchCounters
{
	uint64_t	pages;			/* reads of segments' pages */
	uint64_t	pending_pages;
	uint64_t	codes;			/* compared with the query: without those that keys rejected before */
	uint64_t	candidates;		/* within the bound at that moment */
	uint64_t	returned;
	int			batches;
	int			radius;			/* maximum distance returned */
} SearchCounters;

typedef enum SearchResult
{
	SEARCH_FOUND,
	SEARCH_END,
	SEARCH_CHANGED				/* read() said so */
} SearchResult;

typedef struct Search Search;

/*
 * Made once for codes of that many bits, at most page_codes on a page, and
 * begun as often as one likes.
 */
extern Search *search_create(int bits, int page_codes, const PageReader *reader,
							 const CandidateSort *sort, const SearchMemory *allocator);

/*
 * bound[pages] are lower bounds of the distance to the question's ball's code;
 * BOUND_NEVER leaves a page out.  memory bounds what candidates take, in bytes
 * (a few pages' worth of them are always kept), until the sort takes over.  All
 * in all at most three times the pages within reach are read.  What the question
 * points to must outlive the search.
 */
extern void search_begin(Search *search, const SearchQuestion *question,
						 const int16_t *bound, uint32_t pages, size_t memory);
extern SearchResult search_next(Search *search, Candidate *answer);
extern const SearchCounters *search_counters(const Search *search);

/* How many candidates batch number 0, 1, … keeps in so much memory. */
extern int64_t search_batch_rows(int batch, size_t memory);

/* Bytes that it has allocated and would use again. */
extern size_t search_size(const Search *search);

/* How many candidates the first batch and any batch keeps; for tests. */
extern void search_set_batches(Search *search, int first, int max);

#endif							/* SEARCH_H */
