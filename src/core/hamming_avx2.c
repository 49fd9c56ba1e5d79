/*
 * core/hamming_avx2.c: Hamming distances with AVX2.
 *
 * AVX2 cannot count bits, but look up the counts of 32 half-bytes at a time
 * (W. Mula's method); VPSADBW then sums the eight bytes of each word.
 *
 * The unit is a block of eight codes, whose distances come as eight uint32 in
 * the order of the codes.  The codes behind the last whole block are left to
 * the POPCNT kernels.
 */
#include "core/hamming_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,popcnt")))
#define INLINE TARGET HAMMING_INLINE

#define BLOCK 8

/* The first `words` of four words; the others are zero and are not read. */
INLINE __m256i
load_words(const uint64_t *from, int words)
{
	const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);

	if (words >= 4)
		return _mm256_loadu_si256((const __m256i *) from);
	return _mm256_maskload_epi64((const long long *) from,
								 _mm256_cmpgt_epi64(_mm256_set1_epi64x(words), lane));
}

/* The number of set bits of each of the four words. */
INLINE __m256i
count_words(__m256i x)
{
	const __m256i count = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
												 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
	const __m256i half = _mm256_set1_epi8(0x0F);
	__m256i		low = _mm256_and_si256(x, half);
	__m256i		high = _mm256_and_si256(_mm256_srli_epi16(x, 4), half);

	return _mm256_sad_epu8(_mm256_add_epi8(_mm256_shuffle_epi8(count, low),
										   _mm256_shuffle_epi8(count, high)),
						   _mm256_setzero_si256());
}

INLINE __m256i
count_difference(__m256i query, const uint64_t *from, int words)
{
	return count_words(_mm256_xor_si256(query, load_words(from, words)));
}

/* Counts fit 32 bits: [a0 b0 a1 b1 a2 b2 a3 b3] of uint32. */
INLINE __m256i
interleave(__m256i a, __m256i b)
{
	return _mm256_or_si256(a, _mm256_slli_epi64(b, 32));
}

/* From pairs of uint32, [a0+a1 b0+b1 a2+a3 b2+b3]. */
INLINE __m256i
add_pairs(__m256i a, __m256i b)
{
	return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b),
							_mm256_unpackhi_epi64(a, b));
}

/* Eight vectors of partial counts, one a code, to eight distances in order. */
INLINE __m256i
add_rows(const __m256i *sum)
{
	__m256i		a = add_pairs(interleave(sum[0], sum[1]), interleave(sum[2], sum[3]));
	__m256i		b = add_pairs(interleave(sum[4], sum[5]), interleave(sum[6], sum[7]));

	return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
							_mm256_permute2x128_si256(a, b, 0x31));
}

/* The query as the blocks of its length want it. */
INLINE __m256i
spread_query(int words, const uint64_t *query)
{
	if (words == 1)
		return _mm256_set1_epi64x(query[0]);
	if (words == 2)
		return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *) query));
	/* longer ones are loaded piece by piece */
	return _mm256_setzero_si256();
}

INLINE __m256i
block_of_1(__m256i query, const uint64_t *codes)
{
	const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);

	return _mm256_permutevar8x32_epi32(interleave(count_difference(query, codes, 4),
												  count_difference(query, codes + 4, 4)),
									   order);
}

INLINE __m256i
block_of_2(__m256i query, const uint64_t *codes)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i		a = interleave(count_difference(query, codes, 4),
							   count_difference(query, codes + 4, 4));
	__m256i		b = interleave(count_difference(query, codes + 8, 4),
							   count_difference(query, codes + 12, 4));

	/* the sums are [code 0 2 4 6 | 1 3 5 7] */
	return _mm256_permutevar8x32_epi32(add_pairs(a, b), order);
}

INLINE __m256i
block_of_any(int words, const uint64_t *query, const uint64_t *codes)
{
	__m256i		sum[BLOCK];
	int			r;
	int			w;

	for (r = 0; r < BLOCK; r++)
		sum[r] = _mm256_setzero_si256();
	for (w = 0; w < words; w += 4)
	{
		__m256i		part = load_words(query + w, words - w);

		for (r = 0; r < BLOCK; r++)
			sum[r] = _mm256_add_epi64(sum[r], count_difference(part, codes + r * words + w, words - w));
	}
	return add_rows(sum);
}

INLINE __m256i
block_distances(int words, __m256i spread, const uint64_t *query, const uint64_t *codes)
{
	if (words == 1)
		return block_of_1(spread, codes);
	if (words == 2)
		return block_of_2(spread, codes);
	return block_of_any(words, query, codes);
}

INLINE void
distances_loop(int words, const uint64_t *query, const uint64_t *codes,
			   int count, uint16_t *distances)
{
	__m256i		spread = spread_query(words, query);
	int			i;

	for (i = 0; i + BLOCK <= count; i += BLOCK, codes += BLOCK * words)
	{
		__m256i		d = block_distances(words, spread, query, codes);

		_mm_storeu_si128((__m128i *) (distances + i),
						 _mm_packus_epi32(_mm256_castsi256_si128(d),
										  _mm256_extracti128_si256(d, 1)));
	}
	hamming_popcnt.distances(query, codes, words, count - i, distances + i);
}

TARGET static void
avx2_distances(const uint64_t *query, const uint64_t *codes,
			   int words, int count, uint16_t *distances)
{
	HAMMING_SPECIALIZE(distances_loop, words, query, codes, count, distances);
}

/* One bit for each of the eight distances that is less than `limit`. */
INLINE unsigned
lanes_below(__m256i limit, __m256i d)
{
	return _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, d)));
}

/* Appends the lanes of a block in `hits`; returns how many are found by then. */
INLINE int
append_hits(unsigned hits, __m256i d, int first, int found,
			uint32_t *positions, uint16_t *distances)
{
	uint32_t	lanes[BLOCK];

	_mm256_storeu_si256((__m256i *) lanes, d);
	for (; hits != 0; hits &= hits - 1, found++)
	{
		int			lane = __builtin_ctz(hits);

		positions[found] = first + lane;
		distances[found] = lanes[lane];
	}
	return found;
}

INLINE int
within_loop(int words, const uint64_t *query, const uint64_t *codes,
			int count, int bound, uint32_t *positions, uint16_t *distances)
{
	__m256i		spread = spread_query(words, query);
	__m256i		limit;
	int			found = 0;
	int			rest;
	int			i;

	/* no distance is greater, and the limit must not overflow */
	if (bound > HAMMING_MAX_BITS)
		bound = HAMMING_MAX_BITS;
	limit = _mm256_set1_epi32(bound + 1);
	for (i = 0; i + 2 * BLOCK <= count; i += 2 * BLOCK, codes += 2 * BLOCK * words)
	{
		__m256i		d = block_distances(words, spread, query, codes);
		__m256i		e = block_distances(words, spread, query, codes + BLOCK * words);
		unsigned	hits = lanes_below(limit, d);
		unsigned	more = lanes_below(limit, e);

		if (HAMMING_RARE(hits | more))
		{
			found = append_hits(hits, d, i, found, positions, distances);
			found = append_hits(more, e, i + BLOCK, found, positions, distances);
		}
	}

	rest = hamming_popcnt.within(query, codes, words, count - i, bound,
								 positions + found, distances + found);
	for (; rest > 0; rest--)
		positions[found++] += i;
	return found;
}

TARGET static int
avx2_within(const uint64_t *query, const uint64_t *codes,
			int words, int count, int bound,
			uint32_t *positions, uint16_t *distances)
{
	HAMMING_SPECIALIZE(within_loop, words, query, codes, count, bound,
					   positions, distances);
}

/* The minimum of the lanes' distances, and the first of its positions. */
INLINE int
nearest_lane(__m256i min, __m256i position, uint16_t *distance)
{
	int32_t		d[BLOCK];
	int32_t		p[BLOCK];
	int			best = 0;
	int			lane;

	_mm256_storeu_si256((__m256i *) d, min);
	_mm256_storeu_si256((__m256i *) p, position);
	for (lane = 1; lane < BLOCK; lane++)
		if (d[lane] < d[best] || (d[lane] == d[best] && p[lane] < p[best]))
			best = lane;
	*distance = d[best];
	return p[best];
}

/* Each lane keeps its minimum distance and the first position that has it. */
INLINE int
nearest_loop(int words, const uint64_t *query, const uint64_t *codes,
			 int count, uint16_t *distance)
{
	__m256i		spread = spread_query(words, query);
	__m256i		position = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	__m256i		min = _mm256_set1_epi32(UINT16_MAX);
	__m256i		where = _mm256_set1_epi32(-1);
	uint16_t	rest;
	int			nearest;
	int			last;
	int			i;

	for (i = 0; i + BLOCK <= count; i += BLOCK, codes += BLOCK * words)
	{
		__m256i		d = block_distances(words, spread, query, codes);

		where = _mm256_blendv_epi8(where, position, _mm256_cmpgt_epi32(min, d));
		min = _mm256_min_epi32(min, d);
		position = _mm256_add_epi32(position, _mm256_set1_epi32(BLOCK));
	}
	nearest = nearest_lane(min, where, distance);
	last = hamming_popcnt.nearest(query, codes, words, count - i, &rest);
	if (rest < *distance)
	{
		*distance = rest;
		nearest = i + last;
	}
	return nearest;
}

TARGET static int
avx2_nearest(const uint64_t *query, const uint64_t *codes,
			 int words, int count, uint16_t *distance)
{
	HAMMING_SPECIALIZE(nearest_loop, words, query, codes, count, distance);
}

INLINE int
add_lanes(__m256i sum)
{
	__m128i		x = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

	return _mm_cvtsi128_si64(x) + _mm_extract_epi64(x, 1);
}

TARGET static int
avx2_distance(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	__m256i		sum = _mm256_setzero_si256();
	size_t		i;

	/* short strings should not pay for adding up empty lanes */
	if (bytes < 32)
		return hamming_popcnt.distance(a, b, bytes);
	for (i = 0; i + 32 <= bytes; i += 32)
	{
		__m256i		x = _mm256_loadu_si256((const __m256i *) (a + i));
		__m256i		y = _mm256_loadu_si256((const __m256i *) (b + i));

		sum = _mm256_add_epi64(sum, count_words(_mm256_xor_si256(x, y)));
	}
	return add_lanes(sum) + hamming_popcnt.distance(a + i, b + i, bytes - i);
}

TARGET static int
avx2_weight(const uint8_t *a, size_t bytes)
{
	__m256i		sum = _mm256_setzero_si256();
	size_t		i;

	if (bytes < 32)
		return hamming_popcnt.weight(a, bytes);
	for (i = 0; i + 32 <= bytes; i += 32)
		sum = _mm256_add_epi64(sum, count_words(_mm256_loadu_si256((const __m256i *) (a + i))));
	return add_lanes(sum) + hamming_popcnt.weight(a + i, bytes - i);
}

const HammingKernels hamming_avx2 = {
	.name = "avx2",
	.distance = avx2_distance,
	.weight = avx2_weight,
	.distances = avx2_distances,
	.within = avx2_within,
	.nearest = avx2_nearest,
};

#endif
