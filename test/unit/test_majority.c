/*
 * test_majority.c: bit-sliced counts against one counter a bit: codes added,
 * some taken away again, two sets summed up.
 *
 * usage: test_majority [SEED]
 */
#include "core_test.h"

#include "core/majority.h"

#define WORDS 3
#define CODES 300

#define PLANES 9				/* counts below 512 */

/* Counts are as expected, of so many codes. */
static bool
result_is(const uint64_t *planes, int count, const int expected[WORDS * 64])
{
	int			wrong = 0;
	int			i;

	for (i = 0; i < WORDS * 64; i++)
		wrong += (majority_word(planes, PLANES, WORDS, i / 64, count) >> i % 64 & 1) != (2 * expected[i] > count);
	return wrong == 0;
}

static void
count_code(const uint64_t *code, int by, int expected[WORDS * 64])
{
	int			i;

	for (i = 0; i < WORDS * 64; i++)
		expected[i] += by * (int) (code[i / 64] >> i % 64 & 1);
}

int
main(int argc, char **argv)
{
	uint64_t	code[CODES][WORDS];
	int			expected[WORDS * 64] = {0};
	uint64_t	counts[PLANES * WORDS] = {0};
	uint64_t	rest[PLANES * WORDS] = {0};
	uint64_t	one_plane[WORDS] = {~UINT64_C(0), 0, 0};
	uint64_t	left = 0;
	int			right = 0;
	int			i;
	int			w;

	start("test_majority", argc, argv);
	for (i = 0; i < CODES; i++)
		for (w = 0; w < WORDS; w++)
			code[i][w] = random_next(&test_seed) | (w == 0 ? 0xFF : 0);
	for (i = 0; i < CODES / 2; i++)
	{
		for (w = 0; w < WORDS; w++)
			left |= majority_add(counts, PLANES, WORDS, w, code[i][w]);
		count_code(code[i], 1, expected);
		right += result_is(counts, i + 1, expected);
	}
	check(right == CODES / 2 && left == 0, "%d codes added one by one", right);
	for (right = i = 0; i < CODES / 4; i++)
	{
		for (w = 0; w < WORDS; w++)
			left |= majority_remove(counts, PLANES, WORDS, w, code[i][w]);
		count_code(code[i], -1, expected);
		right += result_is(counts, CODES / 2 - i - 1, expected);
	}
	check(right == CODES / 4 && left == 0, "%d taken away again", right);
	for (i = CODES / 2; i < CODES; i++)
	{
		for (w = 0; w < WORDS; w++)
			majority_add(rest, PLANES, WORDS, w, code[i][w]);
		count_code(code[i], 1, expected);
	}
	for (w = 0; w < WORDS; w++)
		left |= majority_sum(counts, PLANES, WORDS, w, rest, PLANES);
	check(result_is(counts, CODES - CODES / 4, expected) && left == 0, "and %d of another set", CODES / 2);
	check(majority_add(one_plane, 1, WORDS, 0, 5) == 5 && majority_add(one_plane, 1, WORDS, 1, 5) == 0 &&
		  majority_remove(one_plane, 1, WORDS, 2, 9) == 9, "what does not fit, or was never there, comes back");
	return finish("test_majority");
}
