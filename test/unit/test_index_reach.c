/*
 * test_index_reach.c: what is learned of a segment for the planner, against
 * searches that are carried out on it by brute force.
 *
 * Argument: seed.
 */
#include "core/reach.h"
#include "core/search.h"

#include "search_test.h"

#include <math.h>

#define PAGE_CODES 50
#define PAGES 60
#define ROWS (PAGE_CODES * PAGES)
#define CENTRES 12

/* A segment of 64-bit codes, near one of its centres or anywhere. */
typedef struct Segment
{
	uint64_t	code[ROWS];
	uint64_t	centre[CENTRES];
	uint32_t	first[CENTRES + 1];
	int16_t		min[PAGES];
	int16_t		max[PAGES];
	Directory	directory;
} Segment;

static void
make_segment(Segment *segment, bool clustered)
{
	int			pages_a_centre = PAGES / CENTRES;

	for (int c = 0; c < CENTRES; c++)
		segment->centre[c] = random64();
	for (int c = 0; c <= CENTRES; c++)
		segment->first[c] = c * pages_a_centre;
	for (int p = 0; p < PAGES; p++)
	{
		segment->min[p] = 64;
		segment->max[p] = 0;
		for (int i = p * PAGE_CODES; i < (p + 1) * PAGE_CODES; i++)
		{
			uint64_t	centre = segment->centre[p / pages_a_centre];
			int			distance;

			segment->code[i] = clustered ? centre ^ (random64() & random64() & random64() & random64()) : random64();
			distance = __builtin_popcountll(segment->code[i] ^ centre);
			segment->min[p] = distance < segment->min[p] ? distance : segment->min[p];
			segment->max[p] = distance > segment->max[p] ? distance : segment->max[p];
		}
	}
	segment->directory = (Directory) {.words = 1, .pages = PAGES, .centres = CENTRES, .centre = segment->centre,
	.first = segment->first, .min = segment->min, .max = segment->max};
}

/* Pages that the search for the k nearest of the counted rows, times the stride, needs; k = 0: within the radius. */
static int
pages_needed(const Segment *segment, uint64_t query, double k, int radius)
{
	uint16_t	distances[CENTRES + HAMMING_SLACK];
	int16_t		bound[PAGES];
	int			pages = 0;

	directory_bounds(&segment->directory, &query, distances, bound);
	if (k > 0)
		for (radius = -1; radius < 64; radius++)
		{
			int			within = 0;
			int			self = 0;

			for (int i = 0; i < ROWS; i += REACH_STRIDE)
			{
				int			distance = __builtin_popcountll(segment->code[i] ^ query);

				within += distance <= radius + 1;
				self |= distance == 0;
			}
			if ((within - self) * REACH_STRIDE >= k)
				break;
		}
	for (int p = 0; p < PAGES; p++)
		pages += bound[p] <= radius;
	return pages;
}

static void
test_segment(bool clustered)
{
	Segment    *segment = malloc(sizeof(Segment));
	int			wanted = reach_probes_wanted(64, ROWS);
	ReachProbes probes = {64, 1, wanted, malloc(wanted * sizeof(uint64_t)),
	malloc((wanted + HAMMING_SLACK) * sizeof(uint16_t)), calloc(wanted * 65, sizeof(uint32_t))};
	uint16_t	distances[CENTRES + HAMMING_SLACK];
	int16_t		bound[PAGES];
	Reach		reach;

	make_segment(segment, clustered);
	for (int i = 0; i < wanted; i++)
	{
		CHECK(reach_probe_place(&probes, i, ROWS) < ROWS, "probe %d is no row", i);
		probes.code[i] = segment->code[reach_probe_place(&probes, i, ROWS)];
	}
	for (int i = 0; i < ROWS; i += REACH_STRIDE)
		reach_count(&probes, &segment->code[i]);
	reach_learn(&probes, &segment->directory, 0, 0, NULL, distances, bound, &reach);
	CHECK(reach_sound(&reach, PAGES), "what was learned is not sound");
	for (int i = 0; i < REACH_KNOTS; i++)
	{
		double		nearest = 0;
		double		within = 0;

		for (int q = 0; q < wanted; q++)
		{
			nearest += pages_needed(segment, probes.code[q], pow(4, i), 0);
			within += pages_needed(segment, probes.code[q], 0, reach_radius(64, i));
		}
		nearest = fmax(ceil(nearest / wanted), 1);
		within = ceil(within / wanted);
		CHECK(reach.nearest[i] == nearest, "%d nearest: %u pages, %g needed", 1 << 2 * i, reach.nearest[i], nearest);
		CHECK(reach.within[i] == within, "within %d: %u pages, %g needed", reach_radius(64, i), reach.within[i], within);
		CHECK(fabs(reach_nearest(&reach, pow(4, i)) - nearest) < 1e-6 * nearest, "knot %d is not on the curve", i);
		CHECK(reach_within(&reach, 64, reach_radius(64, i)) == fmax(within, 1), "radius %d is not on the curve", i);
	}
	for (int k = 2; k < 100000; k += k / 2)
		CHECK(reach_nearest(&reach, k) >= reach_nearest(&reach, k - 1) && reach_nearest(&reach, k) <= PAGES,
			  "%d nearest: %g pages", k, reach_nearest(&reach, k));
	for (int radius = 1; radius <= 70; radius++)
		CHECK(reach_within(&reach, 64, radius) >= reach_within(&reach, 64, radius - 1) &&
			  reach_within(&reach, 64, radius) <= PAGES, "within %d: %g pages", radius, reach_within(&reach, 64, radius));
	printf("%s: 16 nearest take %u of %d pages, all within 8 %u\n", clustered ? "clustered" : "uniform",
		   reach.nearest[2], PAGES, reach.within[6]);
	CHECK(clustered ? reach.nearest[2] < PAGES / 2 : reach.nearest[2] > PAGES / 2, "16 nearest take %u pages", reach.nearest[2]);

	/* What no segment can have. */
	reach.within[3] = PAGES + 1;
	CHECK(!reach_sound(&reach, PAGES), "more pages than there are");
	reach.within[3] = reach.within[2];
	reach.nearest[7] = 0;
	CHECK(!reach_sound(&reach, PAGES), "more rows on fewer pages");
	free(segment);
	free(probes.code);
	free(probes.distances);
	free(probes.histogram);
}

/* Of every length: places and radii in range, ascending. */
static void
test_lengths(void)
{
	for (int bits = 1; bits <= HAMMING_MAX_BITS; bits += 1 + bits / 7)
	{
		int			wanted = reach_probes_wanted(bits, 1000000);

		CHECK(wanted >= 4 && wanted <= 16, "%d bits: %d probes", bits, wanted);
		CHECK(reach_probes_wanted(bits, 3) == 3, "%d bits: more probes than samples", bits);
		for (int i = 0; i < REACH_KNOTS; i++)
			CHECK(reach_radius(bits, i) <= bits && (i == 0 || reach_radius(bits, i) >= reach_radius(bits, i - 1)),
				  "%d bits: radius %d is %d", bits, i, reach_radius(bits, i));
		CHECK(reach_radius(bits, REACH_KNOTS - 1) == bits, "%d bits: the last radius is %d", bits, reach_radius(bits, REACH_KNOTS - 1));
	}
}

int
main(int argc, char **argv)
{
	take_seed(argc, argv);
	hamming_init();
	test_segment(true);
	test_segment(false);
	test_lengths();
	printf("index_reach: %ld passed, %ld failed\n", passed, failed);
	return failed > 0;
}
