/*
 * core/random.h: random numbers that are the same everywhere.  Numeric core.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Counter-based random numbers: a function of (seed, epoch, step, purpose,
 * index), so that there is no generator state to store.
 */
typedef enum RandomPurpose
{
	RANDOM_WEIGHTS_IMAGE = 1,
	RANDOM_WEIGHTS_TEXT,
	RANDOM_WEIGHTS_LABEL,
	RANDOM_SHUFFLE,
	RANDOM_FIT_SAMPLE,
	RANDOM_VALIDATION,
	RANDOM_DROPOUT_IMAGE,
	RANDOM_DROPOUT_TEXT,
	RANDOM_ANCHORS,
	RANDOM_SUBSPACE,
	RANDOM_ROTATION
} RandomPurpose;

typedef struct RandomKey
{
	uint64_t	key;
} RandomKey;

/*
 * The finaliser of splitmix64, which turns any difference of its inputs into
 * one of half the bits; and the generator, for a sequence of its own.
 */
#define RANDOM_WEYL UINT64_C(0x9E3779B97F4A7C15)	/* 2^64 / golden ratio, odd */

static inline uint64_t
random_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static inline uint64_t
random_next(uint64_t *state)
{
	return random_mix(*state += RANDOM_WEYL);
}

extern RandomKey random_key(uint64_t seed, uint32_t epoch, uint32_t step, RandomPurpose purpose);
extern uint64_t random_bits(RandomKey key, uint64_t index);
extern float random_uniform(RandomKey key, uint64_t index); /* in [0, 1) */

/* to[i] = random_uniform(key, from + i): many at once cost half as much. */
extern void random_fill(RandomKey key, uint64_t from, float *to, int count);

/* A permutation of 0…n-1 (Fisher–Yates). */
extern void random_permutation(RandomKey key, int32_t *permutation, int n);

/*
 * The same in instalments, for the interruptible: put `permutation` at
 * 0…n-1, then shuffle its positions from n-1 down to 1, in ranges [from, to).
 */
extern void random_shuffle(RandomKey key, int32_t *permutation, int from, int to);

#endif							/* RANDOM_H */
