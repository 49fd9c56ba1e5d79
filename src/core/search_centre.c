/*
 * core/search_centre.c: the centres of a segment, by k-majority.
 *
 * k-majority is k-means in Hamming space (Grana, Borghesani, Manfredi,
 * Cucchiara, 2013): assign every code to its nearest centre, then set every
 * centre to the bitwise majority of its codes, which is the point with the
 * minimum sum of distances to them; each step can only lower the total distance.
 *
 * Centres decide only how many pages a search reads, never what it finds.
 * So a sample will do, a few rounds will do, and they are never updated.
 *
 * Cells (all codes nearest to one centre) follow each other without a gap, so a
 * page may hold the end of one and the beginning of the next, and is read for
 * either.  That costs least where a search that wants the one wants the other
 * as well: hence near centres follow each other, and every other cell is
 * stored from its far side to the near one (centre_place), so that near codes
 * meet near ones, and far ones far ones.  At a million rows this saves an
 * eighth of the pages of learned codes of 64 bits, and makes more and smaller
 * cells worth while.
 */
#include "core/majority.h"
#include "core/random.h"
#include "core/search.h"

#include <math.h>
#include <string.h>

/* Counts of a sample, which has fewer than 2^31 codes. */
#define MAX_PLANES 31

/* Rounds after which more were measured to save no page. */
#define CENTRE_ROUNDS 10
/* Comparing a row with centres of so many words takes about a microsecond... */
#define MAX_CENTRE_WORDS 8192
/* ... of long codes, which take longer to read and write, with so many centres. */
#define CENTRES_LONG_CODES 256
#define CENTRE_SAMPLE_PER_CENTRE 256
#define CENTRE_SAMPLE_BYTES ((size_t) 16 << 20)

/*
 * More centres give smaller cells, but more pages on which one cell ends and
 * the next begins, and those have loose bounds.  The best number depends on the
 * codes: at a million rows of 64 bits 83 for the trainers' supervised method,
 * 166 for the unsupervised one, a thousand for clustered codes; at ten million
 * 2,100 for the last two.  pages^0.9 / 4 reads at most a quarter more pages than
 * the best one (test/bench/bench_index_pages.c).  Every row is compared with
 * all centres when it is sorted, hence a bound on their words.  A segment of a
 * few pages is read as a whole.
 */
int
centres_wanted(double pages, int bits)
{
	double		wanted = .25 * pow(pages, .9);
	int			words = bits > 0 ? HAMMING_WORDS(bits) : 1;	/* 0: not known yet */
	int			max = MAX_CENTRE_WORDS / words;

	if (pages < 8)
		return 0;
	if (max < CENTRES_LONG_CODES)
		max = CENTRES_LONG_CODES;
	if (max > MAX_CENTRES)
		max = MAX_CENTRES;
	if (wanted > pages / 2)
		wanted = pages / 2;
	return wanted > max ? max : (int) wanted;
}

int
centres_sample_size(int wanted, int bits)
{
	size_t		max = CENTRE_SAMPLE_BYTES / (HAMMING_WORDS(bits) * sizeof(uint64_t));
	size_t		samples = (size_t) wanted * CENTRE_SAMPLE_PER_CENTRE;

	if (samples > max)
		samples = max;
	return samples < (size_t) wanted ? wanted : (int) samples;
}

/*
 * Start from different codes of the sample.  Learned codes come with masses of
 * duplicates: a draw that is a centre already is drawn again, a few times.
 */
static int
centres_draw(const uint64_t *sample, int samples, int words, int wanted,
			 uint64_t *state, uint64_t *centres)
{
	int			count = 0;
	int64_t		draws = 4 * (int64_t) wanted;

	while (count < wanted && draws-- > 0)
	{
		const uint64_t *code = sample + (random_next(state) % samples) * words;
		uint16_t	distance = UINT16_MAX;

		if (count > 0)
			hamming_kernels->nearest(code, centres, words, count, &distance);
		if (distance == 0)
			continue;
		memcpy(centres + (size_t) count * words, code, words * sizeof(uint64_t));
		count++;
	}
	return count;
}

/* The bitwise majority of the named codes; ties give 0.  planes are work space. */
static void
centre_majority(const uint64_t *sample, const int *members, int count, int words,
				uint64_t *planes, uint64_t *result)
{
	int			plane_count = 1;

	while (plane_count < MAX_PLANES && count >> plane_count)
		plane_count++;
	memset(planes, 0, (size_t) plane_count * words * sizeof(uint64_t));
	for (int i = 0; i < count; i++)
		for (int w = 0; w < words; w++)
			majority_add(planes, plane_count, words, w, sample[(size_t) members[i] * words + w]);
	for (int w = 0; w < words; w++)
		result[w] = majority_word(planes, plane_count, words, w, count);
}

/* Work space of one centres_find(). */
typedef struct CentreWork
{
	const CoreEnv *env;
	const uint64_t *sample;		/* [samples × words] */
	int			samples;
	int			words;
	int		   *owner;			/* [samples]: nearest centre */
	uint16_t   *distance;		/* [samples]: to it */
	int		   *members;		/* [samples]: grouped by owner */
	int		   *first;			/* [wanted + 2]: of each group in members */
	uint64_t   *planes;			/* [MAX_PLANES × words] */
} CentreWork;

/* Assign the sample to its nearest centres, grouped; returns the total distance. */
static int64_t
centres_assign(CentreWork *work, const uint64_t *centres, int count)
{
	int64_t		total = 0;

	memset(work->first, 0, (count + 2) * sizeof(int));
	for (int i = 0; i < work->samples; i++)
	{
		if (i % 1024 == 0 && work->env->interrupt)
			work->env->interrupt();
		work->owner[i] = hamming_kernels->nearest(work->sample + (size_t) i * work->words,
												  centres, work->words, count,
												  &work->distance[i]);
		work->first[work->owner[i] + 2]++;
		total += work->distance[i];
	}
	for (int c = 0; c < count; c++)
		work->first[c + 2] += work->first[c + 1];
	for (int i = 0; i < work->samples; i++)
		work->members[work->first[work->owner[i] + 1]++] = i;
	return total;
}

/*
 * Move every centre to its majority.  A centre that lost all its codes goes to
 * the code that is furthest from its own centre: that is where one is missing.
 */
static void
centres_update(CentreWork *work, uint64_t *centres, int count)
{
	for (int c = 0; c < count; c++)
	{
		int			members = work->first[c + 1] - work->first[c];
		uint64_t   *centre = centres + (size_t) c * work->words;
		int			furthest = 0;

		if (members > 0)
		{
			centre_majority(work->sample, work->members + work->first[c], members,
							work->words, work->planes, centre);
			continue;
		}
		for (int i = 1; i < work->samples; i++)
			if (work->distance[i] > work->distance[furthest])
				furthest = i;
		work->distance[furthest] = 0;
		memcpy(centre, work->sample + (size_t) furthest * work->words,
			   work->words * sizeof(uint64_t));
	}
}

/* Drop centres that own no code of the sample, equal ones among them. */
static int
centres_drop_idle(const CentreWork *work, uint64_t *centres, int count, int *largest)
{
	int			kept = 0;
	int			max_members = 0;

	for (int c = 0; c < count; c++)
	{
		int			members = work->first[c + 1] - work->first[c];

		if (members == 0)
			continue;
		if (members > max_members)
		{
			max_members = members;
			*largest = kept;
		}
		memmove(centres + (size_t) kept * work->words,
				centres + (size_t) c * work->words, work->words * sizeof(uint64_t));
		kept++;
	}
	return kept;
}

static void
centres_swap(uint64_t *a, uint64_t *b, int words)
{
	for (int w = 0; w < words; w++)
	{
		uint64_t	word = a[w];

		a[w] = b[w];
		b[w] = word;
	}
}

/*
 * Put near centres next to each other: each is followed by the nearest of those
 * left.  The largest cell comes first: pages of equal bounds are read in block
 * order, and where one code fills most of the index, its pages have to come
 * before others that cannot be excluded.
 */
static void
centres_chain(const CoreEnv *env, uint64_t *centres, int words, int count, int largest)
{
	centres_swap(centres, centres + (size_t) largest * words, words);
	for (int c = 0; c + 2 < count; c++)
	{
		uint64_t   *next = centres + (size_t) (c + 1) * words;
		uint16_t	distance;
		int			nearest = hamming_kernels->nearest(next - words, next, words, count - c - 1, &distance);

		if (c % 64 == 0 && env->interrupt)
			env->interrupt();
		centres_swap(next, next + (size_t) nearest * words, words);
	}
}

int
centres_find(const CoreEnv *env, int bits,
			 const uint64_t *sample, int samples,
			 int wanted, uint64_t seed, uint64_t *centres)
{
	CentreWork	work = {.env = env, .sample = sample, .samples = samples,
	.words = HAMMING_WORDS(bits)};
	int			count;
	int			largest = 0;
	int64_t		total = INT64_MAX;

	if (samples == 0)
	{
		memset(centres, 0, work.words * sizeof(uint64_t));
		return 1;
	}
	count = centres_draw(sample, samples, work.words, wanted, &seed, centres);
	work.owner = env->allocate(env->arena, samples * sizeof(int));
	work.distance = env->allocate(env->arena, samples * sizeof(uint16_t));
	work.members = env->allocate(env->arena, samples * sizeof(int));
	work.first = env->allocate(env->arena, (wanted + 2) * sizeof(int));
	work.planes = env->allocate(env->arena, MAX_PLANES * work.words * sizeof(uint64_t));

	for (int round = 0; round < CENTRE_ROUNDS; round++)
	{
		int64_t		before = total;

		total = centres_assign(&work, centres, count);
		/* Under a part in 500 the rest is noise of the sample. */
		if (total == 0 || (round > 0 && before - total < before / 500))
			break;
		centres_update(&work, centres, count);
	}
	centres_assign(&work, centres, count);
	count = centres_drop_idle(&work, centres, count, &largest);
	centres_chain(env, centres, work.words, count, largest);
	return count;
}
