/*
 * core/search_mih.c: multi-index hashing, for search within a small radius where
 * centres exclude little (Norouzi, Punjani and Fleet, "Fast search in Hamming
 * space with multi-index hashing", CVPR 2012).  It is the option `bands`.
 *
 * The bits of a code are cut into m bands.  If two codes differ in at most
 * r = m·a + c bits (c < m), then in one of the bands 0 … c they differ in at
 * most a, or in one of the others in at most a - 1: else they would differ in
 * at least (c + 1)(a + 1) + (m - c - 1)·a = r + 1.  So the codes within r of q
 * are all found by probing each band's run, which is sorted by the band, for
 * the values within that of q's.
 *
 * Departing from the paper, a band's value is but its first 16 bits (what holds
 * for the band holds for a part of it), what is found by it is a page, not a
 * bucket, and no set of visited rows is kept: a row belongs to the first band
 * whose probe finds it, which its own code tells.
 */
#include "core/search.h"

#include <string.h>

#define BAND_VALUE_BITS 16

int
band_width(int bits, int bands, int band)
{
	int			start = (int) ((int64_t) bits * band / bands);
	int			end = (int) ((int64_t) bits * (band + 1) / bands);

	return end - start < BAND_VALUE_BITS ? end - start : BAND_VALUE_BITS;
}

int
band_value(const uint64_t *code, int bits, int bands, int band)
{
	const uint8_t *byte = (const uint8_t *) code;
	int			start = (int) ((int64_t) bits * band / bands);
	int			width = band_width(bits, bands, band);
	int			bytes = HAMMING_WORDS(bits) * 8;
	uint32_t	value = 0;

	for (int i = start / 8; i < start / 8 + 3; i++)
		value = value << 8 | (i < bytes ? byte[i] : 0);
	return (int) (value << (8 + start % 8) >> (32 - width));
}

/* How far band values may be apart; negative: the band is not probed. */
int
band_allowance(int radius, int bands, int band)
{
	return radius / bands - (band > radius % bands);
}

/* Number of values within `radius` of one of `width` bits, at most `max`. */
static uint32_t
band_ball_size(int width, int radius, uint32_t max)
{
	uint64_t	size = 0;
	uint64_t	choose = 1;

	for (int d = 0; d <= radius && d <= width && size < max; d++)
	{
		size += choose;
		choose = choose * (uint64_t) (width - d) / (uint64_t) (d + 1);
	}
	return size < max ? (uint32_t) size : max;
}

/* All probes that a radius takes, at most `max`. */
uint32_t
band_probes(int bits, int bands, int radius, uint32_t max)
{
	uint32_t	probes = 0;

	for (int band = 0; band < bands && probes < max; band++)
		if (band_allowance(radius, bands, band) >= 0)
			probes += band_ball_size(band_width(bits, bands, band), band_allowance(radius, bands, band),
									 max - probes);
	return probes;
}

/* Mark the pages of a run that hold a value; first[] is ascending. */
static uint32_t
band_mark_value(const uint16_t *first, uint32_t pages, int value, int16_t *bound)
{
	uint32_t	low = 0;
	uint32_t	high = pages;
	uint32_t	marked = 0;

	/* The first page that begins with a value no less. */
	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (first[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	/* The page before may end with it. */
	for (uint32_t page = low > 0 ? low - 1 : 0; page < pages && (page < low || first[page] == value); page++)
	{
		marked += bound[page] != 0;
		bound[page] = 0;
	}
	return marked;
}

/* Mark all values within `left` of value, by changing bits below `from`. */
static uint32_t
band_mark_ball(const uint16_t *first, uint32_t pages, int value, int from, int left, int16_t *bound)
{
	uint32_t	marked = band_mark_value(first, pages, value, bound);

	if (left == 0)
		return marked;
	for (int bit = 0; bit < from; bit++)
		marked += band_mark_ball(first, pages, value ^ 1 << bit, bit, left - 1, bound);
	return marked;
}

uint32_t
band_mark(const uint16_t *first, uint32_t pages, const uint64_t *query, int bits, int bands,
		  int radius, int16_t *bound)
{
	uint32_t	marked = 0;

	for (int band = 0; band < bands; band++)
		if (band_allowance(radius, bands, band) >= 0)
			marked += band_mark_ball(first + (size_t) band * pages, pages,
									 band_value(query, bits, bands, band), band_width(bits, bands, band),
									 band_allowance(radius, bands, band), bound + (size_t) band * pages);
	return marked;
}

/* Does a code found in a band's run belong to that band? */
bool
band_owns(const uint64_t *query, const uint64_t *code, int bits, int bands, int radius, int band)
{
	for (int i = 0; i <= band; i++)
	{
		int			different = band_value(query, bits, bands, i) ^ band_value(code, bits, bands, i);

		if (__builtin_popcount((unsigned) different) <= band_allowance(radius, bands, i))
			return i == band;
	}
	return false;
}
