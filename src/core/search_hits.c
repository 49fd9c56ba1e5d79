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

int
hits_find(PageHits *hits, const SearchQuestion *question, const PageColumns *columns,
		  int words, int max_distance)
{
	int			found,
				passing;

	if (question->condition_count > 0 && hits_keys_first(hits, question->condition_count, words))
	{
		found = hits_near_of_passing(hits, question, columns, words, max_distance, &passing);
		hits->compared = passing;
		return found;
	}
	found = hamming_kernels->within(question->ball.query, columns->codes, words, columns->count, max_distance,
									hits->positions, hits->distances);
	hits->compared = columns->count;
	return question->condition_count > 0 ? hits_passing_of_near(hits, question, columns, found) : found;
}
