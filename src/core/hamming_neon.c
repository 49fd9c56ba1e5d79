/*
 * core/hamming_neon.c: Hamming distances with NEON of aarch64, which every such
 * processor has.
 *
 * CNT counts the bits of the 16 bytes of a vector, and ADDP adds the
 * neighbouring bytes of two vectors into one: a few of them gather the counts
 * of many codes in one vector.
 *
 * The unit is a block of eight codes, whose distances come as eight uint16 in
 * the order of the codes.  The codes behind the last whole block are left to
 * the kernels that count word by word.
 */
#include "core/hamming_kernel.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define BLOCK 8

/* Bytes of counts: of the 16 bytes at `from` that differ from `query`. */
HAMMING_INLINE uint8x16_t
count_bytes(uint8x16_t query, const uint64_t *from)
{
	return vcntq_u8(veorq_u8(query, vreinterpretq_u8_u64(vld1q_u64(from))));
}

/* 64 bytes of counts to 16, sums of four neighbours, at most 32 each. */
HAMMING_INLINE uint8x16_t
add_fours(uint8x16_t query, const uint64_t *from)
{
	return vpaddq_u8(vpaddq_u8(count_bytes(query, from), count_bytes(query, from + 2)),
					 vpaddq_u8(count_bytes(query, from + 4), count_bytes(query, from + 6)));
}

/* The query as the blocks of its length want it. */
HAMMING_INLINE uint8x16_t
spread_query(int words, const uint64_t *query)
{
	if (words == 1)
		return vreinterpretq_u8_u64(vld1q_dup_u64(query));
	if (words == 2)
		return vreinterpretq_u8_u64(vld1q_u64(query));
	/* longer ones are loaded piece by piece */
	return vdupq_n_u8(0);
}

/* The bytes of counts of one code of four words, at most 16 each. */
HAMMING_INLINE uint8x16_t
count_code_of_4(const uint64_t *query, const uint64_t *code)
{
	uint8x16_t	low = vreinterpretq_u8_u64(vld1q_u64(query));
	uint8x16_t	high = vreinterpretq_u8_u64(vld1q_u64(query + 2));

	return vaddq_u8(count_bytes(low, code), count_bytes(high, code + 2));
}

/* Bytes add up to at most 128 before the last step, which widens them. */
HAMMING_INLINE uint16x8_t
block_of_4(const uint64_t *query, const uint64_t *codes)
{
	uint8x16_t	pair[4];
	int			r;

	for (r = 0; r < 4; r++)
		pair[r] = vpaddq_u8(count_code_of_4(query, codes + r * 8),
							count_code_of_4(query, codes + r * 8 + 4));
	return vpaddlq_u8(vpaddq_u8(vpaddq_u8(pair[0], pair[1]), vpaddq_u8(pair[2], pair[3])));
}

/*
 * Codes of any length: one vector of counts a code, of which each uint16 gets
 * at most 16 for each two words, so 2,048 at the maximum length; then a tree.
 */
HAMMING_INLINE uint16x8_t
block_of_any(int words, const uint64_t *query, const uint64_t *codes)
{
	uint16x8_t	sum[BLOCK];
	int			r;
	int			w;

	for (r = 0; r < BLOCK; r++)
		sum[r] = vdupq_n_u16(0);
	for (w = 0; w + 2 <= words; w += 2)
	{
		uint8x16_t	part = vreinterpretq_u8_u64(vld1q_u64(query + w));

		for (r = 0; r < BLOCK; r++)
			sum[r] = vpadalq_u8(sum[r], count_bytes(part, codes + r * words + w));
	}
	if (w < words)
		for (r = 0; r < BLOCK; r++)
		{
			uint64x1_t	x = veor_u64(vld1_u64(query + w), vld1_u64(codes + r * words + w));
			uint8x8_t	count = vcnt_u8(vreinterpret_u8_u64(x));

			sum[r] = vpadalq_u8(sum[r], vcombine_u8(count, vdup_n_u8(0)));
		}
	return vpaddq_u16(vpaddq_u16(vpaddq_u16(sum[0], sum[1]), vpaddq_u16(sum[2], sum[3])),
					  vpaddq_u16(vpaddq_u16(sum[4], sum[5]), vpaddq_u16(sum[6], sum[7])));
}

HAMMING_INLINE uint16x8_t
block_distances(int words, uint8x16_t spread, const uint64_t *query, const uint64_t *codes)
{
	if (words == 1)
		return vpaddlq_u8(add_fours(spread, codes));
	if (words == 2)
		return vpaddlq_u8(vpaddq_u8(add_fours(spread, codes), add_fours(spread, codes + 8)));
	if (words == 4)
		return block_of_4(query, codes);
	return block_of_any(words, query, codes);
}

HAMMING_INLINE void
distances_loop(int words, const uint64_t *query, const uint64_t *codes,
			   int count, uint16_t *distances)
{
	uint8x16_t	spread = spread_query(words, query);
	int			i;

	for (i = 0; i + BLOCK <= count; i += BLOCK, codes += BLOCK * words)
		vst1q_u16(distances + i, block_distances(words, spread, query, codes));
	hamming_popcnt.distances(query, codes, words, count - i, distances + i);
}

static void
neon_distances(const uint64_t *query, const uint64_t *codes,
			   int words, int count, uint16_t *distances)
{
	HAMMING_SPECIALIZE(distances_loop, words, query, codes, count, distances);
}

/* Appends the distances of a block that are within the bound. */
HAMMING_INLINE int
append_hits(uint16x8_t d, int bound, int first, int found,
			uint32_t *positions, uint16_t *distances)
{
	uint16_t	lanes[BLOCK];
	int			lane;

	vst1q_u16(lanes, d);
	for (lane = 0; lane < BLOCK; lane++)
	{
		/* written always, kept when it is a hit: no branch to mispredict */
		positions[found] = first + lane;
		distances[found] = lanes[lane];
		found += lanes[lane] <= bound;
	}
	return found;
}

HAMMING_INLINE int
within_loop(int words, const uint64_t *query, const uint64_t *codes,
			int count, int bound, uint32_t *positions, uint16_t *distances)
{
	uint8x16_t	spread = spread_query(words, query);
	uint16x8_t	most;
	int			found = 0;
	int			rest;
	int			i;

	/* the comparisons are unsigned and of 16 bits; no distance is greater */
	if (bound < 0)
		return 0;
	if (bound > HAMMING_MAX_BITS)
		bound = HAMMING_MAX_BITS;
	most = vdupq_n_u16(bound);
	for (i = 0; i + 2 * BLOCK <= count; i += 2 * BLOCK, codes += 2 * BLOCK * words)
	{
		uint16x8_t	d = block_distances(words, spread, query, codes);
		uint16x8_t	e = block_distances(words, spread, query, codes + BLOCK * words);

		if (HAMMING_RARE(vmaxvq_u16(vcleq_u16(vminq_u16(d, e), most))))
		{
			found = append_hits(d, bound, i, found, positions, distances);
			found = append_hits(e, bound, i + BLOCK, found, positions, distances);
		}
	}

	rest = hamming_popcnt.within(query, codes, words, count - i, bound,
								 positions + found, distances + found);
	for (; rest > 0; rest--)
		positions[found++] += i;
	return found;
}

static int
neon_within(const uint64_t *query, const uint64_t *codes,
			int words, int count, int bound,
			uint32_t *positions, uint16_t *distances)
{
	HAMMING_SPECIALIZE(within_loop, words, query, codes, count, bound,
					   positions, distances);
}

/* The first lane of a block that holds the distance, which one does. */
HAMMING_INLINE int
first_lane(uint16x8_t d, uint16_t distance)
{
	uint16_t	lanes[BLOCK];
	int			lane = 0;

	vst1q_u16(lanes, d);
	while (lanes[lane] != distance)
		lane++;
	return lane;
}

/*
 * A block with a new minimum is rare: in random order the i-th has one
 * with probability 1/i, so about ln(count) of them do.
 */
HAMMING_INLINE int
nearest_loop(int words, const uint64_t *query, const uint64_t *codes,
			 int count, uint16_t *distance)
{
	uint8x16_t	spread = spread_query(words, query);
	uint16_t	min = UINT16_MAX;
	uint16_t	rest;
	int			nearest = -1;
	int			last;
	int			i;

	for (i = 0; i + BLOCK <= count; i += BLOCK, codes += BLOCK * words)
	{
		uint16x8_t	d = block_distances(words, spread, query, codes);
		uint16_t	block_min = vminvq_u16(d);

		if (HAMMING_RARE(block_min < min))
		{
			min = block_min;
			nearest = i + first_lane(d, min);
		}
	}
	last = hamming_popcnt.nearest(query, codes, words, count - i, &rest);
	if (rest < min)
	{
		min = rest;
		nearest = i + last;
	}
	*distance = min;
	return nearest;
}

static int
neon_nearest(const uint64_t *query, const uint64_t *codes,
			 int words, int count, uint16_t *distance)
{
	HAMMING_SPECIALIZE(nearest_loop, words, query, codes, count, distance);
}

static int
neon_distance(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	uint32x4_t	sum = vdupq_n_u32(0);
	size_t		i;

	for (i = 0; i + 16 <= bytes; i += 16)
		sum = vpadalq_u16(sum, vpaddlq_u8(vcntq_u8(veorq_u8(vld1q_u8(a + i), vld1q_u8(b + i)))));
	return vaddvq_u32(sum) + hamming_popcnt.distance(a + i, b + i, bytes - i);
}

static int
neon_weight(const uint8_t *a, size_t bytes)
{
	uint32x4_t	sum = vdupq_n_u32(0);
	size_t		i;

	for (i = 0; i + 16 <= bytes; i += 16)
		sum = vpadalq_u16(sum, vpaddlq_u8(vcntq_u8(vld1q_u8(a + i))));
	return vaddvq_u32(sum) + hamming_popcnt.weight(a + i, bytes - i);
}

const HammingKernels hamming_neon = {
	.name = "neon",
	.distance = neon_distance,
	.weight = neon_weight,
	.distances = neon_distances,
	.within = neon_within,
	.nearest = neon_nearest,
};

#endif
