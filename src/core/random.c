/*
 * core/random.c: counter-based random numbers.
 *
 * Number i of a stream is a hash of (key, i), and a key is a hash of (seed,
 * epoch, step, purpose).  Nothing is carried from one number to the next, so a
 * training that resumes at an epoch draws what an uninterrupted one would, and
 * there is no generator state to store.  The hash is the finaliser of
 * SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators", OOPSLA 2014) over a Weyl sequence, which passes BigCrush.
 */
#include "core/random.h"

/* The key of a stream; each part passes through the hash, so no two add up. */
RandomKey
random_key(uint64_t seed, uint32_t epoch, uint32_t step, RandomPurpose purpose)
{
	RandomKey	key;

	key.key = random_mix(seed + RANDOM_WEYL);
	key.key = random_mix(key.key + ((uint64_t) epoch << 32 | step) + RANDOM_WEYL);
	key.key = random_mix(key.key + (uint64_t) purpose * RANDOM_WEYL);
	return key;
}

uint64_t
random_bits(RandomKey key, uint64_t index)
{
	return random_mix(key.key + (index + 1) * RANDOM_WEYL);
}

/* In [0, 1): the 24 bits that a float's mantissa holds. */
float
random_uniform(RandomKey key, uint64_t index)
{
	return (float) (random_bits(key, index) >> 40) * 0x1p-24f;
}

void
random_fill(RandomKey key, uint64_t from, float *to, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		to[i] = random_uniform(key, from + i);
}

/*
 * 64 random bits times n, divided by 2^64: uniform in 0…n-1, but for a bias
 * below n/2^64, which no data set could show.  In halves, so that no machine
 * needs 128-bit integers.
 */
static int
random_below(RandomKey key, uint64_t index, uint32_t n)
{
	uint64_t	bits = random_bits(key, index);
	uint64_t	low = (bits & UINT32_MAX) * n;

	return (int) (((bits >> 32) * n + (low >> 32)) >> 32);
}

/* Fisher–Yates over positions from ≤ i < to, downwards. */
void
random_shuffle(RandomKey key, int32_t *permutation, int from, int to)
{
	int			i;

	for (i = to - 1; i >= from && i > 0; i--)
	{
		int			j = random_below(key, i, i + 1);
		int32_t		swap = permutation[i];

		permutation[i] = permutation[j];
		permutation[j] = swap;
	}
}

void
random_permutation(RandomKey key, int32_t *permutation, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		permutation[i] = i;
	random_shuffle(key, permutation, 0, n);
}
