/*
 * core/hamming_avx512.c: Hamming distances with AVX-512 and VPOPCNTDQ.
 *
 * The unit is a block of eight codes, whose distances come as eight uint64 in
 * the order of the codes, however long these are: VPOPCNTQ counts the bits of
 * the eight words of a vector, and shuffles bring the counts that belong to
 * one code together, adding half of them at each step.
 *
 * Searching, up to four blocks share one test for hits, and only then the
 * hits' positions and distances are compressed to the front of a vector and
 * stored whole: the store may write garbage behind them, for which the callers
 * leave room.  (VPCOMPRESS with a memory operand is microcode on Zen 4.)
 *
 * Masked loads read nothing behind the last code of an array.
 */
#include "core/hamming_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq,popcnt")))
#define INLINE TARGET HAMMING_INLINE

#define BLOCK 8

INLINE __mmask8
first_lanes(int lanes)
{
	return (1 << lanes) - 1;
}

/* The first `words` of eight words; the others are zero and are not read. */
INLINE __m512i
load_words(const uint64_t *from, int words)
{
	if (words >= 8)
		return _mm512_loadu_si512(from);
	return _mm512_maskz_loadu_epi64(first_lanes(words < 0 ? 0 : words), from);
}

/* The set bits of each word of the codes at `from` that differ from `query`. */
INLINE __m512i
count_words(__m512i query, const uint64_t *from, int words)
{
	return _mm512_popcnt_epi64(_mm512_xor_si512(query, load_words(from, words)));
}

/* From [a0 a1 a2 ...] and [b0 b1 b2 ...]: [a0+a1 b0+b1 a2+a3 b2+b3 ...]. */
INLINE __m512i
add_pairs(__m512i a, __m512i b)
{
	return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b),
							_mm512_unpackhi_epi64(a, b));
}

/* The same for pairs of neighbouring 128-bit lanes, all of a before all of b. */
INLINE __m512i
add_lane_pairs(__m512i a, __m512i b)
{
	return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88),
							_mm512_shuffle_i64x2(a, b, 0xDD));
}

/* The query as the blocks of its length want it. */
INLINE __m512i
spread_query(int words, const uint64_t *query)
{
	if (words == 1)
		return _mm512_set1_epi64(query[0]);
	if (words == 2)
		return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *) query));
	if (words == 4)
		return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) query));
	/* others are loaded piece by piece */
	return _mm512_setzero_si512();
}

/* [code 0 ... code 7], from two vectors of four codes of two words. */
INLINE __m512i
block_of_2(__m512i query, const uint64_t *codes, int rows)
{
	const __m512i low = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
	const __m512i high = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
	__m512i		a = count_words(query, codes, rows * 2);
	__m512i		b = count_words(query, codes + 8, rows * 2 - 8);

	return _mm512_add_epi64(_mm512_permutex2var_epi64(a, low, b),
							_mm512_permutex2var_epi64(a, high, b));
}

/* [code 0 ... code 7], from four vectors of two codes of four words. */
INLINE __m512i
block_of_4(__m512i query, const uint64_t *codes, int rows)
{
	const __m512i low = _mm512_setr_epi64(0, 4, 1, 5, 8, 12, 9, 13);
	const __m512i high = _mm512_setr_epi64(2, 6, 3, 7, 10, 14, 11, 15);
	__m512i		a = add_pairs(count_words(query, codes, rows * 4),
							  count_words(query, codes + 8, rows * 4 - 8));
	__m512i		b = add_pairs(count_words(query, codes + 16, rows * 4 - 16),
							  count_words(query, codes + 24, rows * 4 - 24));

	/* a is [code 0, 2, 0, 2, 1, 3, 1, 3], b the same of codes 4 to 7 */
	return _mm512_add_epi64(_mm512_permutex2var_epi64(a, low, b),
							_mm512_permutex2var_epi64(a, high, b));
}

/* [code 0 ... code 7] of any length: one vector of counts a code, then a tree. */
INLINE __m512i
block_of_any(int words, const uint64_t *query, const uint64_t *codes, int rows)
{
	__m512i		sum[BLOCK];
	int			r;
	int			w;

	for (r = 0; r < BLOCK; r++)
		sum[r] = _mm512_setzero_si512();
	for (w = 0; w < words; w += 8)
	{
		__m512i		part = load_words(query + w, words - w);

		for (r = 0; r < BLOCK; r++)
		{
			/* rows that don't exist repeat the last one that does */
			const uint64_t *code = codes + (size_t) words * (r < rows ? r : rows - 1);

			sum[r] = _mm512_add_epi64(sum[r], count_words(part, code + w, words - w));
		}
	}
	return add_lane_pairs(add_lane_pairs(add_pairs(sum[0], sum[1]), add_pairs(sum[2], sum[3])),
						  add_lane_pairs(add_pairs(sum[4], sum[5]), add_pairs(sum[6], sum[7])));
}

/* Distances of eight codes; those of the first `rows` count, and are read. */
INLINE __m512i
block_distances(int words, __m512i spread, const uint64_t *query,
				const uint64_t *codes, int rows)
{
	if (words == 1)
		return count_words(spread, codes, rows);
	if (words == 2)
		return block_of_2(spread, codes, rows);
	if (words == 4)
		return block_of_4(spread, codes, rows);
	return block_of_any(words, query, codes, rows);
}

INLINE void
distances_loop(int words, const uint64_t *query, const uint64_t *codes,
			   int count, uint16_t *distances)
{
	__m512i		spread = spread_query(words, query);
	int			i;

	for (i = 0; i + BLOCK <= count; i += BLOCK, codes += BLOCK * words)
	{
		__m512i		d = block_distances(words, spread, query, codes, BLOCK);

		_mm_storeu_si128((__m128i *) (distances + i), _mm512_cvtepi64_epi16(d));
	}
	if (i < count)
	{
		__m512i		d = block_distances(words, spread, query, codes, count - i);

		_mm_mask_storeu_epi16(distances + i, first_lanes(count - i), _mm512_cvtepi64_epi16(d));
	}
}

TARGET static void
avx512_distances(const uint64_t *query, const uint64_t *codes,
				 int words, int count, uint16_t *distances)
{
	HAMMING_SPECIALIZE(distances_loop, words, query, codes, count, distances);
}

/* Appends the lanes of a block in `hits`; returns how many are found by then. */
INLINE int
append_hits(__mmask8 hits, __m512i d, int first, int found,
			uint32_t *positions, uint16_t *distances)
{
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	__m256i		position = _mm256_add_epi32(_mm256_set1_epi32(first), lane);

	_mm256_storeu_si256((__m256i *) (positions + found),
						_mm256_maskz_compress_epi32(hits, position));
	_mm_storeu_si128((__m128i *) (distances + found),
					 _mm512_cvtepi64_epi16(_mm512_maskz_compress_epi64(hits, d)));
	return found + __builtin_popcount(hits);
}

INLINE int
within_loop(int words, const uint64_t *query, const uint64_t *codes,
			int count, int bound, uint32_t *positions, uint16_t *distances)
{
	/* enough codes before a test that the test is cheap beside them */
	const int	blocks = words == 1 ? 4 : words == 2 ? 2 : 1;
	__m512i		spread = spread_query(words, query);
	__m512i		most = _mm512_set1_epi64(bound);
	int			found = 0;
	int			i;
	int			b;

	/* the comparisons are unsigned */
	if (bound < 0)
		return 0;
	for (i = 0; i + blocks * BLOCK <= count; i += blocks * BLOCK)
	{
		__m512i		d[4];
		__mmask8	hits[4];
		unsigned	any = 0;

		for (b = 0; b < blocks; b++, codes += BLOCK * words)
		{
			d[b] = block_distances(words, spread, query, codes, BLOCK);
			hits[b] = _mm512_cmple_epu64_mask(d[b], most);
			any |= hits[b];
		}
		if (HAMMING_RARE(any))
			for (b = 0; b < blocks; b++)
				found = append_hits(hits[b], d[b], i + b * BLOCK, found, positions, distances);
	}
	for (; i < count; i += BLOCK, codes += BLOCK * words)
	{
		int			rows = count - i < BLOCK ? count - i : BLOCK;
		__m512i		d = block_distances(words, spread, query, codes, rows);
		__mmask8	hits = _mm512_mask_cmple_epu64_mask(first_lanes(rows), d, most);

		if (HAMMING_RARE(hits))
			found = append_hits(hits, d, i, found, positions, distances);
	}
	return found;
}

TARGET static int
avx512_within(const uint64_t *query, const uint64_t *codes,
			  int words, int count, int bound,
			  uint32_t *positions, uint16_t *distances)
{
	HAMMING_SPECIALIZE(within_loop, words, query, codes, count, bound,
					   positions, distances);
}

/*
 * Each lane keeps the minimum of its keys, distance * 2^32 + position, so that the
 * minimum of all is the nearest code, and the first of equals.
 */
INLINE int
nearest_loop(int words, const uint64_t *query, const uint64_t *codes,
			 int count, uint16_t *distance)
{
	__m512i		spread = spread_query(words, query);
	__m512i		position = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
	__m512i		min = _mm512_set1_epi64(-1);
	uint64_t	key;
	int			i;

	for (i = 0; i + BLOCK <= count; i += BLOCK, codes += BLOCK * words)
	{
		__m512i		d = block_distances(words, spread, query, codes, BLOCK);

		min = _mm512_min_epu64(min, _mm512_or_si512(_mm512_slli_epi64(d, 32), position));
		position = _mm512_add_epi64(position, _mm512_set1_epi64(BLOCK));
	}
	if (i < count)
	{
		__m512i		d = block_distances(words, spread, query, codes, count - i);

		min = _mm512_mask_min_epu64(min, first_lanes(count - i), min,
									_mm512_or_si512(_mm512_slli_epi64(d, 32), position));
	}

	/* without codes, the key of all ones gives -1 and UINT16_MAX */
	key = _mm512_reduce_min_epu64(min);
	*distance = (uint16_t) (key >> 32);
	return (int32_t) (uint32_t) key;
}

TARGET static int
avx512_nearest(const uint64_t *query, const uint64_t *codes,
			   int words, int count, uint16_t *distance)
{
	HAMMING_SPECIALIZE(nearest_loop, words, query, codes, count, distance);
}

/* Up to 64 bytes of a string, the others zero and not read. */
INLINE __m512i
load_bytes(const uint8_t *from, size_t bytes)
{
	if (bytes >= 64)
		return _mm512_loadu_si512(from);
	return _mm512_maskz_loadu_epi8((UINT64_C(1) << bytes) - 1, from);
}

TARGET static int
avx512_distance(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	__m512i		sum = _mm512_setzero_si512();
	size_t		i;

	for (i = 0; i < bytes; i += 64)
	{
		__m512i		x = _mm512_xor_si512(load_bytes(a + i, bytes - i), load_bytes(b + i, bytes - i));

		sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
	}
	return _mm512_reduce_add_epi64(sum);
}

TARGET static int
avx512_weight(const uint8_t *a, size_t bytes)
{
	__m512i		sum = _mm512_setzero_si512();
	size_t		i;

	for (i = 0; i < bytes; i += 64)
		sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(load_bytes(a + i, bytes - i)));
	return _mm512_reduce_add_epi64(sum);
}

const HammingKernels hamming_avx512 = {
	.name = "avx512",
	.distance = avx512_distance,
	.weight = avx512_weight,
	.distances = avx512_distances,
	.within = avx512_within,
	.nearest = avx512_nearest,
};

#endif
