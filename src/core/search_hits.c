/*
 * core/search_hits.c: the rows of a page that are near enough and whose keys
 * fulfil the conditions.
 *
 * What is compared first, codes or keys, is compared for all rows, by vectors;
 * the other only for the rows that are left.  Which is cheaper depends on how many
 * each leaves: while nothing is known, or the cut is wide, the keys leave fewer;
 * with a narrow cut and a condition that most rows fulfil, the codes do.  The
 * pages before tell.
 */
#include "core/search.h"

/*
 * Time in units of what a kernel takes to compare one word of a code: to compare a
 * key in a column, and to look at one row by itself.
 */
#define COST_OF_KEY 0.5
#define COST_OF_ROW 4.0

/*
 * Codes are compared in pieces of so many bytes, and before each a part of the
 * next page is asked for.  Asked for at once it fills the processor's list of what is
 * under way, and little is compared until most of it has come: a page of 64-bit
 * codes that is in no cache takes .52 µs so and .42 in four pieces.  Smaller pieces are
 * no faster there, and each costs a call.  Without a next page there is one piece.
 */
#define PIECE_BYTES 1280
/* Kernels are at their best with multiples of so many codes. */
#define PIECE_CODES 16

void
hits_create(PageHits *hits, int page_codes, const SearchMemory *memory)
{
	size_t		rows = (size_t) page_codes + HAMMING_SLACK;
	size_t		mask_size = KEY_MASK_WORDS(page_codes) * sizeof(uint64_t);

	hits->positions = memory->reallocate(memory->arena, NULL, rows * sizeof(uint32_t));
	hits->distances = memory->reallocate(memory->arena, NULL, rows * sizeof(uint16_t));
	hits->mask = memory->reallocate(memory->arena, NULL, mask_size);
	hits->scratch = memory->reallocate(memory->arena, NULL, mask_size);
}

void
hits_begin(PageHits *hits)
{
	hits->passing_share = 0;
	hits->near_share = 1;
}

static bool
hits_keys_first(const PageHits *hits, int keys, int words)
{
	return keys * COST_OF_KEY + hits->passing_share * (COST_OF_ROW + words) <=
		words + hits->near_share * (COST_OF_ROW + keys);
}

/* Half of what is believed of a share is what the last page showed. */
static void
hits_learn_share(double *share, int part, int whole)
{
	if (whole > 0)
		*share = (*share + (double) part / whole) / 2;
}

/* The near rows among those that fulfil the conditions, which are `passing`. */
static int
hits_near_of_passing(PageHits *hits, const SearchQuestion *question, const PageColumns *columns,
					 int words, int max_distance, int *passing)
{
	int			found = 0;

	*passing = key_select(question->conditions, question->condition_count, columns->keys, columns->count,
						  hits->mask, hits->scratch);
	for (int w = 0; w < KEY_MASK_WORDS(columns->count); w++)
		for (uint64_t left = hits->mask[w]; left != 0; left &= left - 1)
		{
			uint32_t	position = w * 64 + __builtin_ctzll(left);
			const uint64_t *code = columns->codes + (size_t) position * words;
			int			distance = hamming_kernels->distance((const uint8_t *) question->ball.query,
															 (const uint8_t *) code, words * sizeof(uint64_t));

			hits->positions[found] = position;
			hits->distances[found] = (uint16_t) distance;
			found += distance <= max_distance;
		}
	hits_learn_share(&hits->passing_share, *passing, columns->count);
	hits_learn_share(&hits->near_share, found, *passing);
	return found;
}

/* The rows that fulfil the conditions among the near ones. */
static int
hits_passing_of_near(PageHits *hits, const SearchQuestion *question, const PageColumns *columns, int near)
{
	int			found = 0;

	for (int i = 0; i < near; i++)
	{
		uint32_t	position = hits->positions[i];
		bool		passes = true;

		for (int c = 0; c < question->condition_count && passes; c++)
		{
			const KeyCondition *condition = &question->conditions[c];

			passes = key_fulfils(condition, key_at(columns->keys[condition->column], condition->wide, position));
		}
		hits->positions[found] = position;
		hits->distances[found] = hits->distances[i];
		found += passes;
	}
	hits_learn_share(&hits->near_share, near, columns->count);
	hits_learn_share(&hits->passing_share, found, near);
	return found;
}

/* Ask for part `part` of `parts` of the next page. */
static void
hits_ask_for_next(const PageColumns *columns, int part, int parts)
{
	size_t		from = columns->next_bytes * part / parts;
	size_t		upto = columns->next_bytes * (part + 1) / parts;

	if (columns->next_bytes > 0)
		hamming_prefetch(columns->next + from, upto - from);
}

/* The near rows of all. */
static int
hits_near(PageHits *hits, const uint64_t *query, const PageColumns *columns, int words, int max_distance)
{
	int			bytes = words * sizeof(uint64_t);
	int			piece = ((PIECE_BYTES - 1) / bytes / PIECE_CODES + 1) * PIECE_CODES;
	int			pieces = columns->next_bytes == 0 ? 1 : (columns->count + piece - 1) / piece;
	int			found = 0;

	for (int p = 0; p < pieces; p++)
	{
		int			first = p * piece;
		int			count = p + 1 < pieces ? piece : columns->count - first;
		int			near;

		hits_ask_for_next(columns, p, pieces);
		near = hamming_kernels->within(query, columns->codes + (size_t) first * words, words, count, max_distance,
									   hits->positions + found, hits->distances + found);
		for (; near > 0; near--)
			hits->positions[found++] += first;
	}
	return found;
}

int
hits_find(PageHits *hits, const SearchQuestion *question, const PageColumns *columns,
		  int words, int max_distance)
{
	int			found,
				passing;

	if (question->condition_count > 0 && hits_keys_first(hits, question->condition_count, words))
	{
		hits_ask_for_next(columns, 0, 1);
		found = hits_near_of_passing(hits, question, columns, words, max_distance, &passing);
		hits->compared = passing;
		return found;
	}
	found = hits_near(hits, question->ball.query, columns, words, max_distance);
	hits->compared = columns->count;
	return question->condition_count > 0 ? hits_passing_of_near(hits, question, columns, found) : found;
}
