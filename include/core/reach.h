/*
 * core/reach.h: how far searches reach: what is learned of a segment while it
 * is written, for those who plan searches.
 */
#ifndef REACH_H
#define REACH_H

#include <stdbool.h>

#include "core/hamming.h"

struct Directory;				/* core/search.h */

#define REACH_KNOTS 16

/*
 * Pages that searches read, on the average over some of the segment's codes as
 * queries: of a search for the 4^i nearest, of one within reach_radius(bits, i).
 */
typedef struct Reach
{
	uint32_t	nearest[REACH_KNOTS];
	uint32_t	within[REACH_KNOTS];
} Reach;

/* Every so many-th code is counted. */
#define REACH_STRIDE 4

/* Radius number i, at most bits. */
extern int	reach_radius(int bits, int i);

/* Learning: some codes as queries, and how many rows are at which distance of each. */
typedef struct ReachProbes
{
	int			bits;
	int			words;
	int			probes;
	uint64_t   *code;			/* [probes × words] */
	uint16_t   *distances;		/* [probes]: scratch, and what kernels write beyond */
	uint32_t   *histogram;		/* [probes × (bits + 1)] */
} ReachProbes;

/* How many of a sample of so many codes serve as queries. */
extern int	reach_probes_wanted(int bits, uint32_t samples);

/* Probe number i's place in the sample. */
extern uint32_t reach_probe_place(const ReachProbes *probes, int i, uint32_t samples);

extern void reach_count(ReachProbes *probes, const uint64_t *code);

/*
 * What was counted, with the pages' bounds, gives the reach.  Where there are
 * band runs, [bands × band_pages] with the minimum values first[], a search
 * within a radius takes them if they are fewer.  bound[] is scratch for the data
 * pages and those of the runs, distances[] for the centres.
 */
extern void reach_learn(const ReachProbes *probes, const struct Directory *directory,
						int bands, uint32_t band_pages, const uint16_t *first,
						uint16_t *distances, int16_t *bound, Reach *reach);

/* Pages that a search for the k nearest, or within a radius, is expected to read. */
extern double reach_nearest(const Reach *reach, double k);
extern double reach_within(const Reach *reach, int bits, int radius);

/* Is it what reach_learn() may have made for a segment of so many pages? */
extern bool reach_sound(const Reach *reach, uint32_t pages);

#endif							/* REACH_H */
