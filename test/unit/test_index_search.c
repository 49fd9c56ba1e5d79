/*
 * test_index_search.c: the index's search without a server, against brute
 * force: order, completeness, radius, filters, resumption, duplicates.
 *
 * Argument: seed.  Every answer of every search is compared: its distance with
 * the sorted distances of all rows, its row as one not answered before.
 */
#include "core/search.h"

#include "search_test.h"

#include <assert.h>
#include <setjmp.h>

/*
 * The server gives the search a memory context.  Here an arena: its blocks hang
 * on a ring, so that a size asked for is exactly what may be touched, and all
 * that is left goes with the world.
 */
typedef struct Block
{
	struct Block *next;
	struct Block *previous;
} Block;

static Block arena_ring = {&arena_ring, &arena_ring};

static void *
reallocate(void *arena, void *old, size_t bytes)
{
	Block	   *block = old != NULL ? (Block *) old - 1 : NULL;

	if (block != NULL)
	{
		block->previous->next = block->next;
		block->next->previous = block->previous;
	}
	block = realloc(block, sizeof(Block) + bytes);
	*block = (Block) {arena_ring.next, &arena_ring};
	block->next->previous = block;
	arena_ring.next = block;
	return block + 1;
}

static void *
allocate(void *arena, size_t bytes)
{
	return memset(reallocate(arena, NULL, bytes), 0, bytes);
}

static void
free_arena(void)
{
	while (arena_ring.next != &arena_ring)
	{
		Block	   *block = arena_ring.next;

		arena_ring.next = block->next;
		free(block);
	}
	arena_ring.previous = &arena_ring;
}

/* ---------- A table, and a segment made of it as the server would ---------- */

typedef struct Row
{
	uint64_t	id;
	int			centre;
	int			distance;
	int			place;			/* in the cell */
	const uint64_t *code;
} Row;

/* Candidates of one page and distance, given to the sort. */
typedef struct Group
{
	int			distance;
	uint64_t	rank;
	int			start;			/* in sorted_row */
	int			count;
} Group;

typedef struct World
{
	int			bits;
	int			words;
	int			rows;			/* in pages, then pending */
	int			pending;
	uint64_t   *code;			/* [(rows + pending) × words] */
	int			page_codes;
	int			pages;
	uint64_t   *column;			/* codes in centre order */
	RowPointer *pointer;
	int64_t    *key;			/* [(rows + pending) × 2]: of a narrow and of a wide filter column */
	int32_t    *narrow;			/* the same in centre order */
	int64_t    *wide;
	int		   *page_start;		/* [pages + 1] */
	Directory	directory;
	int			reads;
	int			held;			/* views not yet released */
	int			sorts;			/* begun */
	Group	   *group;
	int			groups;
	int			group_next;
	Candidate  *sorted_row;
	int			sorted_rows;
} World;

static RowPointer
pointer_of(uint64_t id)
{
	RowPointer	pointer = {{(uint16_t) (id >> 32), (uint16_t) (id >> 16), (uint16_t) id}};

	return pointer;
}

static uint64_t
id_of(RowPointer pointer)
{
	return (uint64_t) pointer.part[0] << 32 | (uint64_t) pointer.part[1] << 16 | pointer.part[2];
}

static int
distance_of(const World *world, const uint64_t *a, const uint64_t *b)
{
	int			sum = 0;

	for (int w = 0; w < world->words; w++)
		sum += __builtin_popcountll(a[w] ^ b[w]);
	return sum;
}

static int
compare_rows(const void *a, const void *b)
{
	const Row  *x = a;
	const Row  *y = b;

	if (x->centre != y->centre)
		return x->centre < y->centre ? -1 : 1;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void
random_code(const World *world, uint64_t *code)
{
	for (int w = 0; w < world->words; w++)
		code[w] = random64();
	if (world->bits % 64)
		code[world->words - 1] &= (UINT64_C(1) << (world->bits % 64)) - 1;
}

static void
flip(const World *world, uint64_t *code, int times)
{
	while (times-- > 0)
	{
		int			bit = random_below(world->bits);

		code[bit / 64] ^= UINT64_C(1) << (bit % 64);
	}
}

enum
{
	UNIFORM, CLUSTERED, DUPLICATES, ONE_CODE, DISTRIBUTIONS
};

static void
fill_codes(World *world, int distribution)
{
	int			total = world->rows + world->pending;
	int			clusters = 1 + random_below(20);
	uint64_t   *cluster = malloc((size_t) clusters * world->words * 8);

	for (int c = 0; c < clusters; c++)
		random_code(world, cluster + (size_t) c * world->words);
	world->code = malloc((size_t) total * world->words * 8 + 8);
	for (int i = 0; i < total; i++)
	{
		uint64_t   *code = world->code + (size_t) i * world->words;

		if (distribution == UNIFORM || random_below(20) == 0)
			random_code(world, code);
		else
		{
			int			c = distribution == ONE_CODE ? 0 : random_below(clusters);

			memcpy(code, cluster + (size_t) c * world->words, world->words * 8);
			if (distribution == CLUSTERED)
				flip(world, code, random_below(1 + world->bits / 10));
		}
	}
	free(cluster);
}

static void
widen(int16_t *min, int16_t *max, int distance)
{
	if (distance < *min)
		*min = (int16_t) distance;
	if (distance > *max)
		*max = (int16_t) distance;
}

static void
build_directory(World *world, const Row *row, int centres, uint64_t *centre)
{
	Directory  *directory = &world->directory;
	uint32_t   *first = calloc(centres + 2, sizeof(uint32_t));
	int16_t    *min = calloc(world->pages + 1, sizeof(int16_t));
	int16_t    *max = calloc(world->pages + 1, sizeof(int16_t));
	Span	   *extra = calloc(world->rows + 1, sizeof(Span));

	directory->words = world->words;
	directory->pages = world->pages;
	directory->centres = centres;
	directory->centre = centre;
	directory->extras = 0;
	for (int p = 0; p < world->pages; p++)
	{
		int			last = -1;
		bool		is_first = true;

		for (int i = world->page_start[p]; i < world->page_start[p + 1]; i++)
		{
			if (row[i].centre != last)
			{
				is_first = last < 0;
				last = row[i].centre;
				if (is_first)
				{
					first[last + 1]++;
					min[p] = max[p] = (int16_t) row[i].distance;
				}
				else
				{
					Span	   *span = &extra[directory->extras++];

					span->page = p;
					span->centre = last;
					span->min = span->max = (int16_t) row[i].distance;
				}
			}
			if (is_first)
				widen(&min[p], &max[p], row[i].distance);
			else
				widen(&extra[directory->extras - 1].min, &extra[directory->extras - 1].max,
					  row[i].distance);
		}
	}
	for (int c = 0; c < centres; c++)
		first[c + 1] += first[c];
	directory->first = first;
	directory->min = min;
	directory->max = max;
	directory->extra = extra;
}

/* Keys of which some are frequent, some rare, and some NULL; by page, some pages have but few. */
static int64_t
draw_key(bool wide, int i)
{
	switch (random_below(8))
	{
		case 0:
			return KEY_NULL(wide);
		case 1:
			return random_below(2) ? KEY_MIN(wide) : KEY_NULL(wide) - 1;
		case 2:
		case 3:
			return wide ? (int64_t) random64() >> 1 : (int32_t) random64() / 2;
		default:
			return i / 700 * 10 + random_below(5);
	}
}

/* The keys of all rows, those in pages in the order of pointer[] too, and what the directory says of pages. */
static void
build_keys(World *world)
{
	int			total = world->rows + world->pending;
	int64_t    *least = malloc(((size_t) world->pages * 2 + 1) * sizeof(int64_t));
	int64_t    *greatest = malloc(((size_t) world->pages * 2 + 1) * sizeof(int64_t));

	world->key = malloc(((size_t) total * 2 + 1) * sizeof(int64_t));
	world->narrow = malloc(((size_t) world->rows + 1) * sizeof(int32_t));
	world->wide = malloc(((size_t) world->rows + 1) * sizeof(int64_t));
	for (int i = 0; i < total; i++)
		for (int c = 0; c < 2; c++)
		{
			uint64_t	id = i < world->rows ? id_of(world->pointer[i]) : (uint64_t) i + 1;

			world->key[(id - 1) * 2 + c] = draw_key(c == 1, i);
			if (i < world->rows && c == 0)
				world->narrow[i] = (int32_t) world->key[(id - 1) * 2];
			else if (i < world->rows)
				world->wide[i] = world->key[(id - 1) * 2 + 1];
		}
	for (int p = 0; p < world->pages; p++)
		for (int c = 0; c < 2; c++)
		{
			int64_t    *low = &least[c * world->pages + p];
			int64_t    *high = &greatest[c * world->pages + p];

			*low = INT64_MAX;
			*high = INT64_MIN;
			for (int i = world->page_start[p]; i < world->page_start[p + 1]; i++)
			{
				int64_t		key = c == 0 ? world->narrow[i] : world->wide[i];

				*low = key < *low ? key : *low;
				*high = key > *high ? key : *high;
			}
		}
	world->directory.least = least;
	world->directory.greatest = greatest;
}

static World *
make_world(int bits, int rows, int pending, int page_codes, int wanted, int distribution)
{
	World	   *world = calloc(1, sizeof(World));
	CoreEnv env = {allocate, NULL, NULL};
	Row		   *row = malloc(((size_t) rows + 1) * sizeof(Row));
	uint64_t   *centre;
	int			centres = 0;

	world->bits = bits;
	world->words = HAMMING_WORDS(bits);
	world->rows = rows;
	world->pending = pending;
	world->page_codes = page_codes;
	world->pages = (rows + page_codes - 1) / page_codes;
	fill_codes(world, distribution);
	centre = calloc((size_t) wanted + 1, world->words * 8);
	if (wanted > 0)
		centres = centres_find(&env, bits, world->code, rows < 2000 ? rows : 2000,
							   wanted, 1, centre);
	CHECK(centres <= wanted, "%d centres, %d wanted", centres, wanted);
	for (int i = 0; i < rows; i++)
	{
		uint16_t	distance = 0;

		row[i].id = i + 1;
		row[i].code = world->code + (size_t) i * world->words;
		row[i].centre = centres == 0 ? 0 :
			hamming_kernels->nearest(row[i].code, centre, world->words, centres, &distance);
		row[i].distance = distance;
		row[i].place = centre_place(row[i].centre, distance, bits);
	}
	qsort(row, rows, sizeof(Row), compare_rows);
	world->column = malloc(((size_t) rows + 1) * world->words * 8);
	world->pointer = malloc(((size_t) rows + 1) * sizeof(RowPointer));
	world->page_start = calloc(world->pages + 1, sizeof(int));
	for (int p = 0; p <= world->pages; p++)
		world->page_start[p] = p * page_codes < rows ? p * page_codes : rows;
	for (int i = 0; i < rows; i++)
	{
		memcpy(world->column + (size_t) i * world->words, row[i].code, world->words * 8);
		world->pointer[i] = pointer_of(row[i].id);
	}
	build_directory(world, row, centres, centre);
	build_keys(world);
	free(row);
	return world;
}

static void
free_world(World *world)
{
	free(world->code);
	free(world->column);
	free(world->pointer);
	free(world->key);
	free(world->narrow);
	free(world->wide);
	free((void *) world->directory.least);
	free((void *) world->directory.greatest);
	free(world->page_start);
	free((void *) world->directory.centre);
	free((void *) world->directory.first);
	free((void *) world->directory.min);
	free((void *) world->directory.max);
	free((void *) world->directory.extra);
	free(world->group);
	free(world->sorted_row);
	free(world);
	free_arena();
}

/* ---------- The reader ---------- */

static RowPointer pending_pointer[7];
static int32_t pending_narrow[7];
static int64_t pending_wide[7];

static bool
read_page(void *context, uint32_t page, const uint32_t *upcoming, uint32_t upcoming_count,
		  PageColumns *columns)
{
	World	   *world = context;
	int			start = world->page_start[page];

	for (uint32_t i = 0; i < upcoming_count; i++)
		assert(upcoming[i] < (uint32_t) world->pages);
	columns->count = world->page_start[page + 1] - start;
	columns->codes = world->column + (size_t) start * world->words;
	columns->row_base = (const char *) (world->pointer + start);
	columns->row_stride = sizeof(RowPointer);
	columns->keys[0] = world->narrow + start;
	columns->keys[1] = world->wide + start;
	if (upcoming_count > 0)
	{
		columns->next = (const char *) (world->column + (size_t) world->page_start[upcoming[0]] * world->words);
		columns->next_bytes = world->words * sizeof(uint64_t) *
			(world->page_start[upcoming[0] + 1] - world->page_start[upcoming[0]]);
	}
	world->reads++;
	world->held++;
	return true;
}

/* Pages of seven pending codes, rows from the end as the server stores them. */
static bool
read_pending(void *context, uint32_t ordinal, PageColumns *columns)
{
	World	   *world = context;
	int			start = ordinal * 7;

	if (start >= world->pending)
	{
		columns->count = -1;
		return true;
	}
	columns->count = world->pending - start < 7 ? world->pending - start : 7;
	columns->codes = world->code + (size_t) (world->rows + start) * world->words;
	for (int i = 0; i < columns->count; i++)
	{
		const int64_t *key = world->key + (size_t) (world->rows + start + i) * 2;

		pending_pointer[6 - i] = pointer_of(world->rows + start + i + 1);
		pending_narrow[i] = (int32_t) key[0];
		pending_wide[i] = key[1];
	}
	columns->keys[0] = pending_narrow;
	columns->keys[1] = pending_wide;
	columns->row_base = (const char *) (pending_pointer + 6);
	columns->row_stride = -(int) sizeof(RowPointer);
	world->held++;
	return true;
}

static void
release_page(void *context)
{
	((World *) context)->held--;
}

/* ---------- The sort ---------- */

static void
begin_sort(void *context)
{
	World	   *world = context;

	world->groups = world->group_next = world->sorted_rows = 0;
	world->sorts++;
}

static void
put_to_sort(void *context, int distance, uint64_t rank, const Candidate *candidates, int count)
{
	World	   *world = context;

	CHECK(count > 0 && count <= (world->page_codes > 7 ? world->page_codes : 7), "%d candidates of one page", count);
	CHECK(world->group_next == 0, "candidates for a sort that is being read");
	world->group = realloc(world->group, (world->groups + 1) * sizeof(Group));
	world->group[world->groups++] = (Group) {distance, rank, world->sorted_rows, count};
	world->sorted_row = realloc(world->sorted_row, (world->sorted_rows + count) * sizeof(Candidate));
	for (int i = 0; i < count; i++)
	{
		CHECK(candidates[i].distance == distance, "distance %d among those of %d", candidates[i].distance, distance);
		world->sorted_row[world->sorted_rows++] = candidates[i];
	}
}

static int
compare_groups(const void *a, const void *b)
{
	const Group *x = a;
	const Group *y = b;

	if (x->distance != y->distance)
		return x->distance - y->distance;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int
next_of_sort(void *context, Candidate *candidates)
{
	World	   *world = context;
	const Group *group;

	if (world->group_next == 0 && world->groups > 0)
		qsort(world->group, world->groups, sizeof(Group), compare_groups);
	if (world->group_next == world->groups)
		return 0;
	group = &world->group[world->group_next++];
	memcpy(candidates, world->sorted_row + group->start, group->count * sizeof(Candidate));
	return group->count;
}

/* ---------- Comparison ---------- */

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

static bool
wanted_row(const World *world, int i, const SearchQuestion *question)
{
	const uint64_t *code = world->code + (size_t) i * world->words;

	if (distance_of(world, question->ball.query, code) > question->ball.radius)
		return false;
	for (int f = 0; f < question->filter_count; f++)
	{
		bool		held = false;

		for (int b = 0; b < question->filters[f].count; b++)
			held |= distance_of(world, question->filters[f].ball[b].query, code) <= question->filters[f].ball[b].radius;
		if (!held)
			return false;
	}
	for (int c = 0; c < question->condition_count; c++)
	{
		const KeyCondition *condition = &question->conditions[c];
		int64_t		key = world->key[(size_t) i * 2 + condition->column];
		bool		is_point = condition->points == 0;

		for (int p = 0; p < condition->points; p++)
			is_point |= condition->point[p] == key;
		if (key < condition->low || key > condition->high || !is_point)
			return false;
	}
	return true;
}

/* Pages within reach: what one visit reads at most. */
static int
visit_pages(const World *world, const Ball *ball, const int16_t *bound)
{
	int			pages = (world->pending + 6) / 7;

	for (int p = 0; p < world->pages; p++)
		pages += bound[p] <= ball->radius && bound[p] != BOUND_NEVER;
	return pages;
}

/* The rows in the same order, whatever is kept of them: the order is total. */
static void
compare_order(World *world, Search *search, const SearchQuestion *question, const int16_t *bound,
			  const uint64_t *expected, int answers)
{
	static const size_t memories[] = {1, 1 << 14, 1 << 24};

	for (int m = 0; m < 3; m++)
	{
		Candidate	answer;
		int			i = 0;

		search_begin(search, question, bound, world->pages, memories[m]);
		if (m == 0)
			search_set_batches(search, 1 + random_below(20), 1 + random_below(40));
		while (i < answers && search_next(search, &answer) == SEARCH_FOUND && id_of(answer.row) == expected[i])
			i++;
		CHECK(i == answers, "bits %d: answer %d of %d is another with other memory", world->bits, i, answers);
	}
}

static void
compare(World *world, Search *search, const SearchQuestion *question, const int16_t *bound, int limit, int first_batch)
{
	bool		ordered = question->ordered;
	const Ball *ball = &question->ball;
	int			total = world->rows + world->pending;
	int		   *expected = malloc((total + 1) * sizeof(int));
	char	   *seen = calloc(total + 1, 1);
	int			count = 0;
	int			answers = 0;
	uint64_t   *order = malloc((total + 1) * sizeof(uint64_t));
	int			sorts = world->sorts;
	int			most = 3 * visit_pages(world, ball, bound);
	const SearchCounters *counters = search_counters(search);
	Candidate	answer;

	for (int i = 0; i < total; i++)
		if (wanted_row(world, i, question))
			expected[count++] = distance_of(world, ball->query,
											world->code + (size_t) i * world->words);
	qsort(expected, count, sizeof(int), compare_ints);

	search_begin(search, question, bound, world->pages, 1 << 20);
	if (first_batch > 0)
		search_set_batches(search, first_batch, 64 * first_batch);
	while (answers < limit && search_next(search, &answer) == SEARCH_FOUND)
	{
		uint64_t	id = id_of(answer.row);
		bool		sound = id >= 1 && id <= (uint64_t) total && !seen[id - 1] && answers < count;

		if (sound)
			sound = wanted_row(world, (int) id - 1, question) &&
				answer.distance == distance_of(world, ball->query,
											   world->code + (size_t) (id - 1) * world->words) &&
				(!ordered || answer.distance == expected[answers]);
		if (!sound)
		{
			CHECK(false, "bits %d rows %d ordered %d radius %d: answer %d is row %ld at %d, %d rows expected",
				  world->bits, total, ordered, ball->radius, answers, (long) id, answer.distance, count);
			break;
		}
		seen[id - 1] = 1;
		order[answers++] = id;
	}
	CHECK(answers == (count < limit ? count : limit),
		  "bits %d rows %d ordered %d radius %d: %d answers of %d", world->bits, total, ordered,
		  ball->radius, answers, count);
	CHECK(world->held == 0, "%d pages not released", world->held);
	if (answers < limit)
		CHECK(search_next(search, &answer) == SEARCH_END, "an answer after the end");
	CHECK((int) (counters->pages + counters->pending_pages) <= most, "%d pages read, %d allowed",
		  (int) (counters->pages + counters->pending_pages), most);
	CHECK(world->sorts - sorts <= 1, "%d sorts", world->sorts - sorts);
	if (ordered && total < 10000)
		compare_order(world, search, question, bound, order, answers);
	free(order);
	free(expected);
	free(seen);
}

static void
make_query(const World *world, uint64_t *query)
{
	if (world->rows == 0 || random_below(3) == 0)
		random_code(world, query);
	else
	{
		memcpy(query, world->code + (size_t) random_below(world->rows) * world->words, world->words * 8);
		flip(world, query, random_below(4));
	}
}

#define MOST_POINTS 60

/* An interval, or points, of keys that are there, for the most part. */
static void
make_condition(const World *world, int column, int64_t *point, KeyCondition *condition)
{
	int			total = world->rows + world->pending;
	int			count = random_below(2) ? 2 : 1 + random_below(MOST_POINTS);
	int			kept = 0;

	for (int i = 0; i < count; i++)
		point[i] = total > 0 && random_below(5) ? world->key[(size_t) random_below(total) * 2 + column] :
			draw_key(column == 1, random_below(total + 1));
	qsort(point, count, sizeof(int64_t), compare_keys);
	for (int i = 0; i < count; i++)
		if (i == 0 || point[i] != point[kept - 1])
			point[kept++] = point[i];
	*condition = (KeyCondition) {column, column == 1, point[0], point[kept - 1], 0, NULL};
	if (count > 2 && kept > 1)
	{
		condition->points = kept;
		condition->point = point;
	}
}

static long excluded;			/* pages by keys or otherwise */

static int
count_excluded(const int16_t *bound, int pages)
{
	int			count = 0;

	for (int p = 0; p < pages; p++)
		count += bound[p] == BOUND_NEVER;
	return count;
}

static void
test_world(World *world)
{
	PageReader	reader = {world, read_page, read_pending, release_page};
	CandidateSort sort = {world, begin_sort, put_to_sort, next_of_sort};
	SearchMemory memory = {reallocate, NULL};
	Search	   *search = search_create(world->bits, world->page_codes > 7 ? world->page_codes : 7,
									   &reader, &sort, &memory);
	uint64_t   *query = malloc(world->words * 8);
	uint64_t   *other = malloc(world->words * 8);
	int16_t    *bound = malloc((world->pages + 1) * sizeof(int16_t));
	int16_t    *others = malloc((world->pages + 1) * sizeof(int16_t));
	uint16_t   *distances = malloc((world->directory.centres + 1) * sizeof(uint16_t));
	int64_t		points[2][MOST_POINTS];

	for (int round = 0; round < 16; round++)
	{
		Ball		filter[2] = {{other, world->bits}, {query, 0}};
		BallSet		set = {filter, 1 + random_below(2)};
		KeyCondition conditions[2];
		SearchQuestion question = {random_below(3) > 0, {query, world->bits}, &set, random_below(3) == 0, conditions, 0};

		make_query(world, query);
		make_query(world, other);
		if (random_below(2))
			question.ball.radius = random_below(world->bits + 3) - 1;
		directory_bounds(&world->directory, query, distances, bound);
		for (int p = 0; p < world->pages; p++)
			for (int i = world->page_start[p]; i < world->page_start[p + 1]; i++)
				if (distance_of(world, query, world->column + (size_t) i * world->words) < bound[p])
					CHECK(false, "page %d has a code nearer than its bound", p);
		if (question.filter_count > 0)
		{
			filter[0].radius = random_below(4) ? random_below(world->bits + 1) : 0;
			if (set.count == 1)
				directory_exclude(&world->directory, other, filter[0].radius, distances, others, bound);
			if (set.count == 1 && filter[0].radius == 0)
				directory_exclude_unequal(&world->directory, other, bound);
		}
		for (int c = 0; c < 2; c++)
			if (random_below(2))
				make_condition(world, c, points[c], &conditions[question.condition_count++]);
		directory_exclude_keys(&world->directory, conditions, question.condition_count, bound);
		excluded += count_excluded(bound, world->pages);
		compare(world, search, &question, bound,
				random_below(2) ? 1 << 30 : 1 + random_below(50),
				random_below(2) ? 0 : 1 + random_below(40));
	}
	free(query);
	free(other);
	free(bound);
	free(others);
	free(distances);
	/* The search's own memory belongs to its arena, which here is the process. */
}

/* A million equal codes: LIMIT 10 must cost a page or two, not all of them. */
static void
test_masses(void)
{
	World	   *world = make_world(64, 1000000, 0, 580, 100, ONE_CODE);
	PageReader	reader = {world, read_page, read_pending, release_page};
	CandidateSort sort = {world, begin_sort, put_to_sort, next_of_sort};
	SearchMemory memory = {reallocate, NULL};
	Search	   *search = search_create(64, 580, &reader, &sort, &memory);
	int16_t    *bound = malloc(world->pages * sizeof(int16_t));
	uint16_t	distances[200];
	uint64_t	query = 0;
	SearchQuestion question = {true, {&query, 64}, NULL, 0, NULL, 0};
	int			i = 0;

	/* Random codes of 64 bits are not equal: where two are, they are the one. */
	while (world->code[i] != world->code[i + 1])
		i++;
	query = world->code[i];
	directory_bounds(&world->directory, &query, distances, bound);
	compare(world, search, &question, bound, 10, 0);
	printf("a million rows, 95 %% of them one code: LIMIT 10 read %d of %d pages\n",
		   world->reads, world->pages);
	CHECK(world->reads <= 2, "%d pages read", world->reads);
	compare(world, search, &question, bound, 1 << 30, 0);
	free(bound);
	free_world(world);
}

/* Memory that gives out once, as the server's does: by an error, not by NULL. */
static jmp_buf no_memory;
static int	allocations_left;

static void *
reallocate_until(void *arena, void *old, size_t bytes)
{
	if (allocations_left-- == 0)
		longjmp(no_memory, 1);
	return reallocate(arena, old, bytes);
}

/*
 * A search that failed for want of memory is used for the next query: it must
 * not believe in room that it never got.
 */
static void
test_no_memory(void)
{
	World	   *world = make_world(64, 3000, 0, 580, 10, CLUSTERED);
	PageReader	reader = {world, read_page, read_pending, release_page};
	CandidateSort sort = {world, begin_sort, put_to_sort, next_of_sort};
	SearchMemory memory = {reallocate_until, NULL};
	int16_t    *bound = malloc(world->pages * sizeof(int16_t));
	uint16_t	distances[200];
	uint64_t	query = random64();
	SearchQuestion question = {true, {&query, 64}, NULL, 0, NULL, 0};
	Candidate	answer;
	volatile int failures = 0;
	volatile bool failed_now = true;

	directory_bounds(&world->directory, &query, distances, bound);
	for (volatile int left = 0; failed_now; left++)
	{
		Search	   *search;

		allocations_left = 1000;
		search = search_create(64, 580, &reader, &sort, &memory);
		allocations_left = left;
		failed_now = setjmp(no_memory) != 0;
		if (!failed_now)
		{
			search_begin(search, &question, bound, world->pages, 1 << 20);
			while (search_next(search, &answer) == SEARCH_FOUND)
				;
		}
		failures += failed_now;
		world->held = 0;		/* the server unlocks pages on errors */
		allocations_left = 1000;
		compare(world, search, &question, bound, 1 << 30, 0);
	}
	printf("searches go on after each of %d allocations failed\n", failures);
	CHECK(failures > 2, "%d allocations failed", failures);
	free(bound);
	free_world(world);
}

/*
 * Pages that the search for 10 must read: in the order of (bound, page), until
 * the next page's bound is no less than the 10th distance found.
 */
static int
pages_needed(const World *world, const uint64_t *query, const int16_t *bound)
{
	int			needed = 0;
	int			found[65] = {0};

	for (int level = 0; level <= 64; level++)
		for (int p = 0; p < world->pages; p++)
		{
			int			within = 0;

			if (bound[p] != level)
				continue;
			for (int d = 0; d <= level; d++)
				within += found[d];
			if (within >= 10)
				return needed;
			needed++;
			for (int i = world->page_start[p]; i < world->page_start[p + 1]; i++)
				found[distance_of(world, query, world->column + i)]++;
		}
	return needed;
}

static void
test_pages_read(void)
{
	World	   *world = make_world(64, 50000, 0, 580, 50, CLUSTERED);
	PageReader	reader = {world, read_page, read_pending, release_page};
	CandidateSort sort = {world, begin_sort, put_to_sort, next_of_sort};
	SearchMemory memory = {reallocate, NULL};
	Search	   *search = search_create(64, 580, &reader, &sort, &memory);
	int16_t    *bound = malloc(world->pages * sizeof(int16_t));
	uint16_t	distances[200];
	long		total = 0;

	for (int i = 0; i < 50; i++)
	{
		uint64_t	query;
		SearchQuestion question = {true, {&query, 64}, NULL, 0, NULL, 0};
		Candidate	answer;
		int			needed;

		make_query(world, &query);
		directory_bounds(&world->directory, &query, distances, bound);
		world->reads = 0;
		search_begin(search, &question, bound, world->pages, 1 << 20);
		for (int k = 0; k < 10; k++)
			search_next(search, &answer);
		needed = pages_needed(world, &query, bound);
		CHECK(world->reads == needed, "%d pages read, %d needed", world->reads, needed);
		total += world->reads;
	}
	printf("10 nearest of 50000 clustered: %ld of %d pages read on average\n", total / 50, world->pages);
	free(bound);
	free_world(world);
}

/* The order of rows: blocks ascend, rows of a block stay as they were, none is lost. */
static void
test_row_order(void)
{
	for (int round = 0; round < 400; round++)
	{
		int			count = random_below(3000);
		int			bits = random_below(33);	/* of the block numbers */
		Candidate  *candidates = calloc(count + 1, sizeof(Candidate));
		Candidate  *scratch = calloc(count + 1, sizeof(Candidate));
		bool	   *seen = calloc(count + 1, sizeof(bool));
		bool		ordered = true;

		for (int i = 0; i < count; i++)
		{
			uint32_t	block = bits == 0 ? 7 : (uint32_t) (random64() >> (64 - bits));

			candidates[i].row.part[0] = block >> 16;
			candidates[i].row.part[1] = block & 0xFFFF;
			candidates[i].row.part[2] = (uint16_t) i;
			candidates[i].distance = (uint16_t) (block % 1000);
		}
		candidates_by_row(candidates, count, scratch);
		for (int i = 0; i < count; i++)
		{
			const uint16_t *now = candidates[i].row.part;
			uint32_t	block = (uint32_t) now[0] << 16 | now[1];

			if (i > 0)
			{
				const uint16_t *before = candidates[i - 1].row.part;
				uint32_t	last = (uint32_t) before[0] << 16 | before[1];

				ordered = ordered && (last < block || (last == block && before[2] < now[2]));
			}
			ordered = ordered && !seen[now[2]] && candidates[i].distance == block % 1000;
			seen[now[2]] = true;
		}
		CHECK(ordered, "%d rows in blocks of %d bits are out of order", count, bits);
		free(candidates);
		free(scratch);
		free(seen);
	}
}

int
main(int argc, char **argv)
{
	static const int lengths[] = {1, 2, 3, 8, 31, 63, 64, 65, 100, 128, 129, 256, 300, 1000, 1024, 2500, 16383, 16384};

	take_seed(argc, argv);
	hamming_init();
	for (int l = 0; l < (int) (sizeof(lengths) / sizeof(lengths[0])); l++)
		for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++)
			for (int size = 0; size < 4; size++)
			{
				int			scale = lengths[l] > 4000 ? 10 : 1;
				int			rows = size == 0 ? random_below(3) : 1 + random_below(4000 / scale);
				World	   *world = make_world(lengths[l], rows,
											   random_below(2) ? 0 : random_below(60),
											   1 + random_below(80),
											   random_below(4) ? random_below(60) : 0, distribution);

				test_world(world);
				free_world(world);
			}
	printf("searches of %d lengths, 4 distributions compared with brute force, %ld pages left out\n",
		   (int) (sizeof(lengths) / sizeof(lengths[0])), excluded);
	CHECK(excluded > 0, "no page was left out for its keys");
	test_row_order();
	test_masses();
	test_no_memory();
	test_pages_read();
	printf("index_search: %ld passed, %ld failed\n", passed, failed);
	return failed > 0;
}
