/*
 * core/search_key.c: which rows of a page fulfil the conditions on its filter
 * columns.
 *
 * Keys of a column stand side by side, so a register holds four or eight of
 * them, and the result is a bit a row.  The 450 keys of a page take some 200
 * instructions, a fifth of what finding and pinning the page does.
 */
#include "core/search_key.h"

#include <string.h>

/* Up to so many points are compared with a page's keys one after the other. */
#define POINTS_COMPARED 16

bool
key_fulfils(const KeyCondition *condition, int64_t key)
{
	int			low = 0;
	int			high = condition->points;

	if (key < condition->low || key > condition->high)
		return false;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (condition->point[middle] == key)
			return true;
		if (condition->point[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return condition->points == 0;
}

bool
key_range_fulfils(const KeyCondition *condition, int64_t least, int64_t greatest)
{
	int			low = 0;
	int			high = condition->points;

	if (greatest < condition->low || least > condition->high)
		return false;
	if (condition->points == 0)
		return true;
	/* The first point that is not below the least key. */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (condition->point[middle] < least)
			low = middle + 1;
		else
			high = middle;
	}
	return low < condition->points && condition->point[low] <= greatest;
}

/* ---------- Kernels ---------- */

#define MARK(type, name, keys, count, low, high, mask) \
static void \
name(const type *keys, int count, type low, type high, uint64_t *mask) \
{ \
	for (int first = 0; first < count; first += 64) \
	{ \
		int			rows = count - first < 64 ? count - first : 64; \
		uint64_t	word = 0; \
 \
		for (int i = 0; i < rows; i++) \
			word |= (uint64_t) ((keys[first + i] >= low) & (keys[first + i] <= high)) << i; \
		mask[first / 64] |= word; \
	} \
}

MARK(int32_t, mark_narrow_plain, keys, count, low, high, mask)
MARK(int64_t, mark_wide_plain, keys, count, low, high, mask)

const KeyKernels key_kernels_plain = {"plain", mark_narrow_plain, mark_wide_plain};

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))

static TARGET void
mark_narrow_avx2(const int32_t *keys, int count, int32_t low, int32_t high, uint64_t *mask)
{
	__m256i		lows = _mm256_set1_epi32(low);
	__m256i		highs = _mm256_set1_epi32(high);
	int			i = 0;

	for (; i + 8 <= count; i += 8)
	{
		__m256i		key = _mm256_loadu_si256((const __m256i *) (keys + i));
		__m256i		outside = _mm256_or_si256(_mm256_cmpgt_epi32(lows, key), _mm256_cmpgt_epi32(key, highs));
		uint32_t	inside = ~_mm256_movemask_ps(_mm256_castsi256_ps(outside)) & 0xFF;

		mask[i / 64] |= (uint64_t) inside << (i % 64);
	}
	for (; i < count; i++)
		mask[i / 64] |= (uint64_t) (keys[i] >= low && keys[i] <= high) << (i % 64);
}

static TARGET void
mark_wide_avx2(const int64_t *keys, int count, int64_t low, int64_t high, uint64_t *mask)
{
	__m256i		lows = _mm256_set1_epi64x(low);
	__m256i		highs = _mm256_set1_epi64x(high);
	int			i = 0;

	for (; i + 4 <= count; i += 4)
	{
		__m256i		key = _mm256_loadu_si256((const __m256i *) (keys + i));
		__m256i		outside = _mm256_or_si256(_mm256_cmpgt_epi64(lows, key), _mm256_cmpgt_epi64(key, highs));
		uint32_t	inside = ~_mm256_movemask_pd(_mm256_castsi256_pd(outside)) & 0xF;

		mask[i / 64] |= (uint64_t) inside << (i % 64);
	}
	for (; i < count; i++)
		mask[i / 64] |= (uint64_t) (keys[i] >= low && keys[i] <= high) << (i % 64);
}

static const KeyKernels key_kernels_avx2 = {"avx2", mark_narrow_avx2, mark_wide_avx2};

#endif

const KeyKernels *
key_kernels(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return &key_kernels_avx2;
#endif
	return &key_kernels_plain;
}

/* ---------- Conditions ---------- */

static void
key_mark(const KeyCondition *condition, const void *keys, int count, int64_t low, int64_t high, uint64_t *mask)
{
	const KeyKernels *kernels = key_kernels();

	if (condition->wide)
		kernels->mark_wide(keys, count, low, high, mask);
	else
		kernels->mark_narrow(keys, count, (int32_t) low, (int32_t) high, mask);
}

/* Take the rows out whose keys are none of the points. */
static void
key_keep_points(const KeyCondition *condition, const void *keys, int count, uint64_t *mask)
{
	for (int w = 0; w < KEY_MASK_WORDS(count); w++)
		for (uint64_t left = mask[w]; left != 0; left &= left - 1)
		{
			int			bit = __builtin_ctzll(left);

			if (!key_fulfils(condition, key_at(keys, condition->wide, w * 64 + bit)))
				mask[w] &= ~(UINT64_C(1) << bit);
		}
}

static void
key_mark_condition(const KeyCondition *condition, const void *keys, int count, uint64_t *mask)
{
	memset(mask, 0, KEY_MASK_WORDS(count) * sizeof(uint64_t));
	if (condition->points > 0 && condition->points <= POINTS_COMPARED)
	{
		for (int p = 0; p < condition->points; p++)
			key_mark(condition, keys, count, condition->point[p], condition->point[p], mask);
		return;
	}
	key_mark(condition, keys, count, condition->low, condition->high, mask);
	if (condition->points > 0)
		key_keep_points(condition, keys, count, mask);
}

int
key_select(const KeyCondition *conditions, int condition_count,
		   const void *const *columns, int count, uint64_t *mask, uint64_t *scratch)
{
	int			words = KEY_MASK_WORDS(count);
	int			selected = 0;

	for (int c = 0; c < condition_count; c++)
	{
		const void *keys = columns[conditions[c].column];

		key_mark_condition(&conditions[c], keys, count, c == 0 ? mask : scratch);
		for (int w = 0; c > 0 && w < words; w++)
			mask[w] &= scratch[w];
	}
	for (int w = 0; w < words; w++)
		selected += __builtin_popcountll(mask[w]);
	return selected;
}
