/*
 * core/search_reach.c: how many pages a search will read, learned from a segment.
 *
 * What a search reads depends on the codes: tight clusters are told apart by the
 * bounds of pages, uniform codes not at all.  So while a segment is written some
 * of its own codes are taken for queries, and the distances of its rows to them
 * are counted.  With the bounds of the finished pages that gives what a search
 * by each would read: one for the k nearest the pages with a bound below the k-th
 * distance (lemma 2), one within a radius those with a bound of at most that, or
 * the band pages with the values looked up.  Means over the queries are kept,
 * for sixteen k and sixteen radii; between them is interpolated.
 */
#include "core/reach.h"
#include "core/search.h"

#include <math.h>
#include <string.h>

/* Queries tried: more for short codes, whose distances cost little. */
#define MOST_PROBES 16
#define LEAST_PROBES 4
#define PROBE_WORDS 256

/* Of 64 bits; longer codes have radii in proportion. */
static const int radius_knots[REACH_KNOTS] = {0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 64};

int
reach_radius(int bits, int i)
{
	int			radius = radius_knots[i] * (bits > 64 ? bits : 64) / 64;

	return radius < bits ? radius : bits;
}

int
reach_probes_wanted(int bits, uint32_t samples)
{
	int			wanted = PROBE_WORDS / HAMMING_WORDS(bits);

	if (wanted > MOST_PROBES)
		wanted = MOST_PROBES;
	if (wanted < LEAST_PROBES)
		wanted = LEAST_PROBES;
	return samples < (uint32_t) wanted ? (int) samples : wanted;
}

uint32_t
reach_probe_place(const ReachProbes *probes, int i, uint32_t samples)
{
	return (uint32_t) ((2 * (uint64_t) i + 1) * samples / (2 * (uint64_t) probes->probes));
}

void
reach_count(ReachProbes *probes, const uint64_t *code)
{
	hamming_kernels->distances(code, probes->code, probes->words, probes->probes, probes->distances);
	for (int p = 0; p < probes->probes; p++)
		probes->histogram[(size_t) p * (probes->bits + 1) + probes->distances[p]]++;
}

/* Pages with a bound of at most radius. */
static uint32_t
reach_pages_within(const int16_t *bound, uint32_t pages, int radius)
{
	uint32_t	count = 0;

	for (uint32_t i = 0; i < pages; i++)
		count += bound[i] <= radius;
	return count;
}

/* The distance of the k-th nearest row, the query itself left out; more than bits: there are fewer. */
static int
reach_distance(const uint32_t *histogram, int bits, double k)
{
	double		sum = histogram[0] > 0 ? -1 : 0;

	for (int d = 0; d <= bits; d++)
	{
		sum += histogram[d];
		if (sum * REACH_STRIDE >= k)
			return d;
	}
	return bits + 1;
}

/* Band pages that a search within the radius reads; as many as data pages where it will not. */
static uint32_t
reach_band_pages(const Directory *directory, int bits, int bands, uint32_t band_pages, const uint16_t *first,
				 const uint64_t *query, int radius, int16_t *bound)
{
	if (bands == 0 || radius >= bits || band_probes(bits, bands, radius, directory->pages) >= directory->pages)
		return directory->pages;
	for (uint32_t i = 0; i < bands * band_pages; i++)
		bound[i] = BOUND_NEVER;
	return band_mark(first, band_pages, query, bits, bands, radius, bound);
}

void
reach_learn(const ReachProbes *probes, const Directory *directory, int bands, uint32_t band_pages,
			const uint16_t *first, uint16_t *distances, int16_t *bound, Reach *reach)
{
	double		nearest[REACH_KNOTS] = {0};
	double		within[REACH_KNOTS] = {0};
	int			bits = probes->bits;

	for (int p = 0; p < probes->probes; p++)
	{
		const uint64_t *query = probes->code + (size_t) p * probes->words;
		const uint32_t *histogram = probes->histogram + (size_t) p * (bits + 1);

		directory_bounds(directory, query, distances, bound);
		for (int i = 0; i < REACH_KNOTS; i++)
		{
			int			radius = reach_radius(bits, i);
			int			distance = reach_distance(histogram, bits, pow(4, i));
			uint32_t	data = reach_pages_within(bound, directory->pages, radius);
			uint32_t	band = reach_band_pages(directory, bits, bands, band_pages, first, query, radius,
												bound + directory->pages);

			within[i] += band < data ? band : data;
			nearest[i] += distance > bits ? directory->pages :
				reach_pages_within(bound, directory->pages, distance - 1);
		}
	}
	for (int i = 0; i < REACH_KNOTS; i++)
	{
		reach->nearest[i] = probes->probes == 0 ? directory->pages : (uint32_t) ceil(nearest[i] / probes->probes);
		reach->within[i] = probes->probes == 0 ? directory->pages : (uint32_t) ceil(within[i] / probes->probes);
		/* The page that the query is on is read at least. */
		if (reach->nearest[i] < 1)
			reach->nearest[i] = 1;
	}
}

/* Between two knots, `part` of the way: in proportion, since both ends may be far apart. */
static double
reach_between(const uint32_t *pages, int i, double part)
{
	double		from = pages[i] > 0 ? pages[i] : 1;
	double		to = i + 1 < REACH_KNOTS && pages[i + 1] > 0 ? pages[i + 1] : from;

	return from * pow(to / from, part);
}

double
reach_nearest(const Reach *reach, double k)
{
	double		place = k > 1 ? log(k) / log(4) : 0;

	if (place >= REACH_KNOTS - 1)
		return reach->nearest[REACH_KNOTS - 1];
	return reach_between(reach->nearest, (int) place, place - floor(place));
}

double
reach_within(const Reach *reach, int bits, int radius)
{
	for (int i = 0; i + 1 < REACH_KNOTS; i++)
	{
		int			from = reach_radius(bits, i);
		int			to = reach_radius(bits, i + 1);

		if (radius < to)
			return reach_between(reach->within, i, radius <= from ? 0 : (double) (radius - from) / (to - from));
	}
	return reach->within[REACH_KNOTS - 1];
}

bool
reach_sound(const Reach *reach, uint32_t pages)
{
	for (int i = 0; i < REACH_KNOTS; i++)
		if (reach->nearest[i] > pages || reach->within[i] > pages ||
			(i > 0 && (reach->nearest[i] < reach->nearest[i - 1] || reach->within[i] < reach->within[i - 1])))
			return false;
	return true;
}
