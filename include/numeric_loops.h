/*
 * numeric_loops.h: the text of the vector loops, included by one file for each
 * instruction set, which defines LOOPS_NAME, LOOPS_STRUCT and LOOPS_TARGET (the
 * attribute that lets the compiler use the instructions in these functions).
 *
 * Plain loops that compilers vectorise: sums are kept in LANES partial sums,
 * because without -ffast-math a compiler may not reorder additions itself;
 * choices are written as values chosen, not as jumps.
 *
 * Polynomials are minimax fits made for this file (Remez' exchange), their
 * error below 1e-8 relative, so that rounding dominates.
 */
#include "vector.h"

#include <math.h>
#include <string.h>

#define LANES 16

typedef float LaneVector __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

#define LOOPS_INLINE static inline __attribute__((always_inline)) LOOPS_TARGET
#define LOOPS_STATIC static LOOPS_TARGET

/*
 * exp(x), exact to about an ulp: x = n·ln 2 + r, exp(x) = 2^n · exp(r).  Adding 1.5·2^23
 * leaves n in the low bits of the sum.  Below −87 the result is 0, above 88 it
 * is held at exp(88): who sums exponentials subtracts the peak first.
 */
LOOPS_INLINE float
loop_exp(float x)
{
	const float magic = 12582912.0f;
	float		held = x > 88.0f ? 88.0f : x;
	float		shifted = held * 1.44269504f + magic;
	float		n = shifted - magic;
	float		r = held - n * 0.693359375f + n * 2.12194440e-4f;	/* ln 2 in two parts */
	float		q = ((0.00138131446f * r + 0.00836941883f) * r + 0.0416684568f) * r + 0.166665148f;
	float		y = (q * r + 0.499999931f) * r * r + r + 1.0f;
	uint32_t	bits;
	float		power;

	memcpy(&bits, &shifted, sizeof(bits));
	bits = (bits + 127) << 23;	/* the bits above n shift out */
	memcpy(&power, &bits, sizeof(power));
	return x < -87.0f ? 0.0f : y * power;
}

/* tanh(x): odd polynomial near 0, beyond it through exp(2|x|). */
LOOPS_INLINE float
loop_tanh(float x)
{
	float		magnitude = fabsf(x);
	float		held = magnitude > 9.5f ? 9.5f : magnitude;	/* tanh is 1.0f from 9.02 on */
	float		z = x * x;
	float		p = ((-0.00571704531f * z + 0.0206505876f) * z - 0.0537434982f) * z + 0.133314913f;
	float		small = (p * z - 0.333332839f) * z * x + x;
	float		large = 1.0f - 2.0f / (loop_exp(2.0f * held) + 1.0f);

	return magnitude < 0.625f ? small : copysignf(large, x);
}

LOOPS_INLINE float
lane_sum(const float lanes[LANES])
{
	float		sum[4];
	int			i;

	for (i = 0; i < 4; i++)
		sum[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
	return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

LOOPS_STATIC float
loop_dot(const float *a, const float *b, size_t n)
{
	LaneVector	sum = {0};
	float		lanes[LANES];
	float		rest = 0;
	size_t		i;

	for (i = 0; i + LANES <= n; i += LANES)
		sum += *(const LaneVector *) (a + i) * *(const LaneVector *) (b + i);
	for (; i < n; i++)
		rest += a[i] * b[i];
	memcpy(lanes, &sum, sizeof(lanes));
	return lane_sum(lanes) + rest;
}

LOOPS_STATIC void
loop_add_scaled(float *restrict y, float alpha, const float *restrict x, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		y[i] += alpha * x[i];
}

/*
 * Vectors of the register's own width, for the loop that must not leave the
 * registers: gcc takes wider ones apart through memory, at five times the cost.
 */
#ifndef LOOPS_WIDTH
#define LOOPS_WIDTH 4
#endif
#define LOOPS_REGISTERS 8

typedef float RegisterVector __attribute__((vector_size(LOOPS_WIDTH * sizeof(float)), aligned(4), may_alias));

/*
 * A vector times a matrix.  Eight registers of outputs are kept over all rows,
 * so that a weight is loaded once and nothing is stored in between.
 */
LOOPS_STATIC void
loop_add_rows(float *restrict y, const float *restrict weight, size_t stride, int columns,
			  const float *restrict x, const int32_t *restrict index, int count)
{
	const int	block = LOOPS_REGISTERS * LOOPS_WIDTH;
	int			done = 0;
	int			i;
	int			j;

	for (; done + block <= columns; done += block)
	{
		RegisterVector *to = (RegisterVector *) (y + done);
		RegisterVector sum[LOOPS_REGISTERS];

		for (j = 0; j < LOOPS_REGISTERS; j++)
			sum[j] = to[j];
		for (i = 0; i < count; i++)
		{
			size_t		row = index != NULL ? index[i] : i;
			const RegisterVector *from = (const RegisterVector *) (weight + row * stride + done);

			for (j = 0; j < LOOPS_REGISTERS; j++)
				sum[j] += x[i] * from[j];
		}
		for (j = 0; j < LOOPS_REGISTERS; j++)
			to[j] = sum[j];
	}
	for (; done + LOOPS_WIDTH <= columns; done += LOOPS_WIDTH)
	{
		RegisterVector sum = *(RegisterVector *) (y + done);

		for (i = 0; i < count; i++)
			sum += x[i] * *(const RegisterVector *) (weight + (size_t) (index != NULL ? index[i] : i) * stride + done);
		*(RegisterVector *) (y + done) = sum;
	}
	if (done < columns)
		for (i = 0; i < count; i++)
			loop_add_scaled(y + done, x[i], weight + (size_t) (index != NULL ? index[i] : i) * stride + done,
							columns - done);
}

LOOPS_STATIC void
loop_tanh_scaled(float *restrict y, float factor, const float *restrict x, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		y[i] = loop_tanh(factor * x[i]);
}

LOOPS_STATIC void
loop_bias_relu(float *restrict y, const float *restrict bias, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
	{
		float		sum = y[i] + bias[i];

		y[i] = sum < 0 ? 0 : sum;	/* so written, NaN stays NaN */
	}
}

LOOPS_STATIC void
loop_mask_relu(float *restrict gradient, const float *restrict activation, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		gradient[i] = activation[i] > 0 ? gradient[i] : 0;
}

LOOPS_STATIC void
loop_sgd(float *restrict w, float *restrict v, const float *restrict g, const SgdStep *step, size_t n)
{
	const float rate = step->rate;
	const float momentum = step->momentum;
	const float decay = step->decay;
	size_t		i;

	if (g == NULL)
		for (i = 0; i < n; i++)
		{
			v[i] = momentum * v[i] + decay * w[i];
			w[i] -= rate * v[i];
		}
	else
		for (i = 0; i < n; i++)
		{
			v[i] = momentum * v[i] + (g[i] + decay * w[i]);
			w[i] -= rate * v[i];
		}
}

LOOPS_STATIC void
loop_rotate(float *restrict w, float *restrict v, float a, float b, float c, float d, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
	{
		float		weight = a * w[i] + b * v[i];

		v[i] = c * w[i] + d * v[i];
		w[i] = weight;
	}
}

LOOPS_STATIC void
loop_adam(float *restrict w, float *restrict m, float *restrict v, const float *restrict g,
		  const AdamStep *step, size_t n)
{
	const AdamStep s = *step;
	const float rest1 = 1 - s.beta1;
	const float rest2 = 1 - s.beta2;
	size_t		i;

	if (g == NULL)
		for (i = 0; i < n; i++)
		{
			m[i] = s.beta1 * m[i];
			v[i] = s.beta2 * v[i];
			w[i] -= s.decay * w[i] + s.step_size * m[i] / (sqrtf(v[i]) * s.second_correction + s.epsilon);
		}
	else
		for (i = 0; i < n; i++)
		{
			float		gradient = s.gradient_factor * g[i];

			m[i] = s.beta1 * m[i] + rest1 * gradient;
			v[i] = s.beta2 * v[i] + rest2 * gradient * gradient;
			w[i] -= s.decay * w[i] + s.step_size * m[i] / (sqrtf(v[i]) * s.second_correction + s.epsilon);
		}
}

LOOPS_STATIC void
loop_extremes(const float *restrict cosine, const uint8_t *restrict kind, int n,
			  float *least_positive, float *greatest_negative)
{
	float		least[LANES];
	float		greatest[LANES];
	int			i;
	int			j;

	for (j = 0; j < LANES; j++)
	{
		least[j] = INFINITY;
		greatest[j] = -INFINITY;
	}
	for (i = 0; i + LANES <= n; i += LANES)
		for (j = 0; j < LANES; j++)
		{
			float		positive = kind[i + j] == PAIR_POSITIVE ? cosine[i + j] : INFINITY;
			float		negative = kind[i + j] == PAIR_NEGATIVE ? cosine[i + j] : -INFINITY;

			least[j] = positive < least[j] ? positive : least[j];
			greatest[j] = negative > greatest[j] ? negative : greatest[j];
		}
	for (; i < n; i++)
	{
		if (kind[i] == PAIR_POSITIVE && cosine[i] < least[0])
			least[0] = cosine[i];
		if (kind[i] == PAIR_NEGATIVE && cosine[i] > greatest[0])
			greatest[0] = cosine[i];
	}
	for (j = 1; j < LANES; j++)
	{
		least[0] = least[j] < least[0] ? least[j] : least[0];
		greatest[0] = greatest[j] > greatest[0] ? greatest[j] : greatest[0];
	}
	*least_positive = least[0];
	*greatest_negative = greatest[0];
}

/* The weight of one pair; exactly 0 when it is not kept. */
LOOPS_INLINE float
pair_weight(float s, uint8_t kind, const float p[PAIR_PARAMETERS])
{
	float		positive = p[PAIR_POSITIVE_SLOPE] * s + p[PAIR_POSITIVE_SHIFT];
	float		negative = p[PAIR_NEGATIVE_SLOPE] * s + p[PAIR_NEGATIVE_SHIFT];

	positive = s < p[PAIR_POSITIVE_BELOW] ? positive : -INFINITY;
	negative = s > p[PAIR_NEGATIVE_ABOVE] ? negative : -INFINITY;
	negative = kind == PAIR_NEGATIVE ? negative : -INFINITY;
	return loop_exp(kind == PAIR_POSITIVE ? positive : negative);
}

LOOPS_STATIC void
loop_pair_weights(float *restrict weight, const float *restrict cosine, const uint8_t *restrict kind,
				  int n, const float *restrict parameters, float sums[2])
{
	float		p[PAIR_PARAMETERS];
	float		positive[LANES] = {0};
	float		negative[LANES] = {0};
	int			i;
	int			j;

	memcpy(p, parameters, sizeof(p));
	for (i = 0; i < n; i++)
		weight[i] = pair_weight(cosine[i], kind[i], p);
	for (i = 0; i + LANES <= n; i += LANES)
		for (j = 0; j < LANES; j++)
		{
			positive[j] += kind[i + j] == PAIR_POSITIVE ? weight[i + j] : 0;
			negative[j] += kind[i + j] == PAIR_POSITIVE ? 0 : weight[i + j];
		}
	for (; i < n; i++)
		*(kind[i] == PAIR_POSITIVE ? &positive[0] : &negative[0]) += weight[i];
	sums[0] = lane_sum(positive);
	sums[1] = lane_sum(negative);
}

const VectorLoops LOOPS_STRUCT = {
	.name = LOOPS_NAME,
	.dot = loop_dot,
	.add_scaled = loop_add_scaled,
	.add_rows = loop_add_rows,
	.tanh_scaled = loop_tanh_scaled,
	.bias_relu = loop_bias_relu,
	.mask_relu = loop_mask_relu,
	.sgd = loop_sgd,
	.rotate = loop_rotate,
	.adam = loop_adam,
	.extremes = loop_extremes,
	.pair_weights = loop_pair_weights,
};
