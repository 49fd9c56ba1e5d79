/*
 * core/search_key.h: keys of filter columns, and conditions on them.
 *
 * A key is an int64, or an int32 on a page where the column needs no more.  NULL
 * is the largest key of either.
 */
#ifndef SEARCH_KEY_H
#define SEARCH_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_KEY_COLUMNS 4

#define KEY_NULL(wide) ((wide) ? INT64_MAX : (int64_t) INT32_MAX)
#define KEY_MIN(wide) ((wide) ? INT64_MIN : (int64_t) INT32_MIN)

/* Words of a set of so many rows, a bit each. */
#define KEY_MASK_WORDS(rows) (((rows) + 63) / 64)

/*
 * low <= key <= high, and, if there are points, the key is one of them.  They are
 * ascending and lie between low and high, the first and last of them.
 */
typedef struct KeyCondition
{
	int			column;
	bool		wide;
	int64_t		low;
	int64_t		high;
	int			points;
	const int64_t *point;
} KeyCondition;

extern bool key_fulfils(const KeyCondition *condition, int64_t key);

/* May a key between those two fulfil it? */
extern bool key_range_fulfils(const KeyCondition *condition, int64_t least, int64_t greatest);

/* Key of row i of a column's array. */
static inline int64_t
key_at(const void *keys, bool wide, int i)
{
	return wide ? ((const int64_t *) keys)[i] : ((const int32_t *) keys)[i];
}

/*
 * The rows that fulfil all conditions, of count rows whose keys are in
 * columns[]: as a mask of KEY_MASK_WORDS(count) words; scratch has as many.
 * Returns how many.
 */
extern int	key_select(const KeyCondition *conditions, int condition_count,
					   const void *const *columns, int count, uint64_t *mask, uint64_t *scratch);

/* Set the bits of the rows with low <= keys[i] <= high, leaving others as they are. */
typedef struct KeyKernels
{
	const char *name;
	void		(*mark_narrow) (const int32_t *keys, int count, int32_t low, int32_t high, uint64_t *mask);
	void		(*mark_wide) (const int64_t *keys, int count, int64_t low, int64_t high, uint64_t *mask);
} KeyKernels;

/* The reference, and the best that this processor can run. */
extern const KeyKernels key_kernels_plain;
extern const KeyKernels *key_kernels(void);

#endif							/* SEARCH_KEY_H */
