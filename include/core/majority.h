/*
 * core/majority.h: counting bits of many codes, and the bits that most have.
 * Numeric core.
 *
 * Each bit of a code needs a count of its own.  The counts are kept bit sliced:
 * plane p holds bit p of all the counts, 64 of them in a word.  Adding a code
 * is then a binary counter's increment with the code as the carry, done for 64
 * bits at a time, and the carry dies out after two planes on average.  N codes
 * need log2(N) planes.
 *
 * Planes are [plane_count × words], the lowest first; each function below works
 * on word w of all of them, and they are inline since they are short.
 */
#ifndef MAJORITY_H
#define MAJORITY_H

#include <stddef.h>
#include <stdint.h>

/* Add a code's word; returns what did not fit, for a plane more: 0, unless a count overflows. */
static inline uint64_t
majority_add(uint64_t *planes, int plane_count, int words, int w, uint64_t carry)
{
	for (int p = 0; carry != 0 && p < plane_count; p++)
	{
		uint64_t   *sum = &planes[(size_t) p * words + w];
		uint64_t	both = *sum & carry;

		*sum ^= carry;
		carry = both;
	}
	return carry;
}

/* Take a code's word away; returns the bits that had not been counted: 0, if it was added before. */
static inline uint64_t
majority_remove(uint64_t *planes, int plane_count, int words, int w, uint64_t borrow)
{
	for (int p = 0; borrow != 0 && p < plane_count; p++)
	{
		uint64_t   *sum = &planes[(size_t) p * words + w];
		uint64_t	lacking = ~*sum & borrow;

		*sum ^= borrow;
		borrow = lacking;
	}
	return borrow;
}

/*
 * Add the counts of other planes, of which there are no more: a full adder.
 * Returns what did not fit, for a plane more.
 */
static inline uint64_t
majority_sum(uint64_t *planes, int plane_count, int words, int w,
			 const uint64_t *other, int other_count)
{
	uint64_t	carry = 0;

	for (int p = 0; p < plane_count; p++)
	{
		uint64_t	b = p < other_count ? other[(size_t) p * words + w] : 0;
		uint64_t   *a = &planes[(size_t) p * words + w];
		uint64_t	both = (*a & b) | (carry & (*a | b));

		*a ^= b ^ carry;
		carry = both;
	}
	return carry;
}

/*
 * The bits that more than half of the codes have: 2 × count > codes, which is
 * the same as count > half, half = floor(codes / 2): counts are whole numbers.
 * From the top plane down, a count is greater where it has the first bit that
 * differs.
 */
static inline uint64_t
majority_word(const uint64_t *planes, int plane_count, int words, int w, int64_t codes)
{
	uint64_t	half = (uint64_t) codes / 2;
	uint64_t	greater = 0;
	uint64_t	equal = ~UINT64_C(0);

	/* No count reaches 2^planes, so such a half beats them all. */
	if (half >> plane_count != 0)
		return 0;
	for (int p = plane_count - 1; p >= 0; p--)
	{
		uint64_t	plane = planes[(size_t) p * words + w];

		if (half >> p & 1)
			equal &= plane;
		else
		{
			greater |= equal & plane;
			equal &= ~plane;
		}
	}
	return greater;
}

#endif							/* MAJORITY_H */
