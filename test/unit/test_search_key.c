/*
 * test_search_key.c: conditions on keys: each kernel against one comparison after
 * the other, and what is said of a range of keys against its keys.
 *
 * Argument: seed.
 */
#include "core/search_key.h"

#include "search_test.h"

#define MOST_ROWS 1400
#define MOST_POINTS 50

/* Few different values, so that conditions meet them, and the ends of what a key can be. */
static int64_t
draw_key(bool wide)
{
	int64_t		base = random_below(4) > 0 ? 0 : random_below(2) ? KEY_MIN(wide) : KEY_NULL(wide) - 40;

	return base + random_below(40);
}

static void
draw_condition(int column, bool wide, int64_t *point, KeyCondition *condition)
{
	int			count = random_below(2) ? 2 : 1 + random_below(MOST_POINTS);
	int			kept = 0;

	for (int i = 0; i < count; i++)
		point[i] = draw_key(wide);
	qsort(point, count, sizeof(int64_t), compare_keys);
	for (int i = 0; i < count; i++)
		if (i == 0 || point[i] != point[kept - 1])
			point[kept++] = point[i];
	*condition = (KeyCondition) {column, wide, point[0], point[kept - 1], 0, NULL};
	if (count != 2 && kept > 1)
	{
		condition->points = kept;
		condition->point = point;
	}
}

/* What the condition says, by its definition. */
static bool
fulfils(const KeyCondition *condition, int64_t key)
{
	bool		is_point = condition->points == 0;

	for (int i = 0; i < condition->points; i++)
		is_point |= condition->point[i] == key;
	return key >= condition->low && key <= condition->high && is_point;
}

static void
test_kernels(const KeyKernels *kernels)
{
	static int32_t narrow[MOST_ROWS];
	static int64_t wide[MOST_ROWS];

	for (int round = 0; round < 2000; round++)
	{
		int			rows = random_below(2) ? random_below(140) : random_below(MOST_ROWS + 1);
		uint64_t	mask[2][KEY_MASK_WORDS(MOST_ROWS)];
		int64_t		low[2];
		int64_t		high[2];
		bool		right = true;

		for (int c = 0; c < 2; c++)
		{
			low[c] = draw_key(c == 1);
			high[c] = draw_key(c == 1);
			for (int w = 0; w < KEY_MASK_WORDS(MOST_ROWS); w++)
				mask[c][w] = w % 3 == 0 ? 1 : 0;	/* what is set stays set */
		}
		for (int i = 0; i < rows; i++)
		{
			narrow[i] = (int32_t) draw_key(false);
			wide[i] = draw_key(true);
		}
		kernels->mark_narrow(narrow, rows, (int32_t) low[0], (int32_t) high[0], mask[0]);
		kernels->mark_wide(wide, rows, low[1], high[1], mask[1]);
		for (int i = 0; i < MOST_ROWS; i++)
			for (int c = 0; c < 2; c++)
			{
				int64_t		key = c == 0 ? narrow[i] : wide[i];
				bool		before = i % 192 == 0;
				bool		expected = before || (i < rows && key >= low[c] && key <= high[c]);

				right &= (mask[c][i / 64] >> i % 64 & 1) == expected;
			}
		CHECK(right, "%s", kernels->name);
	}
}

static void
test_select(void)
{
	static int32_t narrow[2][MOST_ROWS];
	static int64_t wide[2][MOST_ROWS];
	const void *columns[MAX_KEY_COLUMNS] = {narrow[0], wide[0], narrow[1], wide[1]};

	for (int round = 0; round < 3000; round++)
	{
		int			rows = random_below(2) ? random_below(140) : random_below(MOST_ROWS + 1);
		int64_t		point[MAX_KEY_COLUMNS][MOST_POINTS];
		KeyCondition conditions[MAX_KEY_COLUMNS];
		int			count = 0;
		uint64_t	mask[KEY_MASK_WORDS(MOST_ROWS)];
		uint64_t	scratch[KEY_MASK_WORDS(MOST_ROWS)];
		int			expected = 0;
		bool		right = true;

		for (int i = 0; i < rows; i++)
			for (int c = 0; c < 2; c++)
			{
				narrow[c][i] = (int32_t) draw_key(false);
				wide[c][i] = draw_key(true);
			}
		while (count == 0)
			for (int c = 0; c < MAX_KEY_COLUMNS; c++)
				if (random_below(2))
					draw_condition(c, c % 2 == 1, point[c], &conditions[count++]);
		count = count > MAX_KEY_COLUMNS ? MAX_KEY_COLUMNS : count;
		right = true;
		memset(mask, 0xA5, sizeof(mask));
		expected = -key_select(conditions, count, columns, rows, mask, scratch);
		for (int i = 0; i < rows; i++)
		{
			bool		all = true;

			for (int c = 0; c < count; c++)
			{
				int64_t		key = key_at(columns[conditions[c].column], conditions[c].wide, i);

				all &= fulfils(&conditions[c], key);
				CHECK(key_fulfils(&conditions[c], key) == fulfils(&conditions[c], key), "key_fulfils");
			}
			expected += all;
			right &= (mask[i / 64] >> i % 64 & 1) == all;
		}
		CHECK(right && expected == 0, "key_select");
	}
}

/* A range may fulfil a condition if a key in it does, of all there are. */
static void
test_ranges(void)
{
	for (int round = 0; round < 20000; round++)
	{
		int64_t		point[MOST_POINTS];
		KeyCondition condition;
		int64_t		least = random_below(50) - 5;
		int64_t		greatest = least + random_below(20);
		bool		expected = false;

		draw_condition(0, false, point, &condition);
		for (int64_t key = least; key <= greatest; key++)
			expected |= fulfils(&condition, key);
		CHECK(key_range_fulfils(&condition, least, greatest) == expected, "key_range_fulfils");
	}
}

int
main(int argc, char **argv)
{
	take_seed(argc, argv);
	test_kernels(&key_kernels_plain);
	test_kernels(key_kernels());
	test_select();
	test_ranges();
	printf("search_key (%s): %ld passed, %ld failed\n", key_kernels()->name, passed, failed);
	return failed > 0;
}
