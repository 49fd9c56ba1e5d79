/*
 * core/vector_loops.h: the text of the vector loops, included by one file for each
 * instruction set, which defines
 *
 *     LOOPS_NAME, LOOPS_STRUCT   the set's name and table,
 *     LOOPS_TARGET               the attribute that lets functions use it,
 *     LOOPS_WIDTH                floats in one of its registers,
 *     LOOPS_ROOT(x)              the square root of a Vector,
 *     LOOPS_WIDEN(bytes)         LOOPS_WIDTH bytes as a Mask: compilers take them one by one.
 *
 * What compilers vectorise well is left as a plain loop.  The rest uses their
 * vector types, one register wide: without -ffast-math a compiler may neither
 * reorder a sum nor turn a choice between values into a mask.
 *
 * Polynomials are minimax fits made for this file (Remez' exchange), their
 * error below 1e-8 relative, so that rounding dominates.
 */
#include "core/vector.h"

#include <math.h>
#include <string.h>

typedef float Vector __attribute__((vector_size(LOOPS_WIDTH * 4)));
typedef int32_t Mask __attribute__((vector_size(LOOPS_WIDTH * 4)));
typedef uint32_t Bits __attribute__((vector_size(LOOPS_WIDTH * 4)));

#define LOOPS_INLINE static inline __attribute__((always_inline)) LOOPS_TARGET
#define LOOPS_STATIC static LOOPS_TARGET

/* Registers that sums of several vectors are kept in. */
#define REGISTERS 8

LOOPS_INLINE Vector
load(const float *from)
{
	Vector		v;

	memcpy(&v, from, sizeof(v));
	return v;
}

LOOPS_INLINE void
store(float *to, Vector v)
{
	memcpy(to, &v, sizeof(v));
}

LOOPS_INLINE Vector
spread(float x)
{
	return x - (Vector) {0};
}

/* a where the mask is set (all ones), else b. */
LOOPS_INLINE Vector
choose(Mask mask, Vector a, Vector b)
{
	return (Vector) ((mask & (Mask) a) | (~mask & (Mask) b));
}

/* The part of an array that fills no vector, and back. */
LOOPS_INLINE Vector
load_rest(const float *from, size_t count, float filler)
{
	float		padded[LOOPS_WIDTH];
	size_t		i;

	for (i = 0; i < LOOPS_WIDTH; i++)
		padded[i] = i < count ? from[i] : filler;
	return load(padded);
}

LOOPS_INLINE void
store_rest(float *to, size_t count, Vector v)
{
	float		padded[LOOPS_WIDTH];
	size_t		i;

	store(padded, v);
	for (i = 0; i < count; i++)
		to[i] = padded[i];
}

LOOPS_INLINE float
vector_sum(Vector v)
{
	float		lane[LOOPS_WIDTH];
	int			width;
	int			i;

	store(lane, v);
	for (width = LOOPS_WIDTH / 2; width > 0; width /= 2)
		for (i = 0; i < width; i++)
			lane[i] += lane[i + width];
	return lane[0];
}

/*
 * exp(x), exact to about an ulp: x = n·ln 2 + r, exp(x) = 2^n · exp(r).  Adding
 * 1.5·2^23 leaves n in the low bits of the sum.  Below −87 the result is 0,
 * above 88 it is held at exp(88): who sums exponentials subtracts the peak first.
 */
LOOPS_INLINE Vector
vector_exp(Vector x)
{
	const Vector magic = spread(12582912.0f);
	Vector		held = choose(x > 88.0f, spread(88.0f), x);
	Vector		shifted = held * 1.44269504f + magic;
	Vector		n = shifted - magic;
	Vector		r = held - n * 0.693359375f + n * 2.12194440e-4f;	/* ln 2 in two parts */
	Vector		q = ((0.00138131446f * r + 0.00836941883f) * r + 0.0416684568f) * r + 0.166665148f;
	Vector		y = (q * r + 0.499999931f) * r * r + r + 1.0f;
	Bits		power = ((Bits) shifted + 127) << 23;	/* the bits above n shift out */

	return choose(x < -87.0f, spread(0), y * (Vector) power);
}

/* tanh(x): odd polynomial near 0, beyond it through exp(2|x|). */
LOOPS_INLINE Vector
vector_tanh(Vector x)
{
	const Bits	sign = (Bits) spread(-0.0f);
	Vector		magnitude = (Vector) ((Bits) x & ~sign);
	Vector		held = choose(magnitude > 9.5f, spread(9.5f), magnitude);	/* tanh is 1.0f from 9.02 on */
	Vector		z = x * x;
	Vector		p = ((-0.00571704531f * z + 0.0206505876f) * z - 0.0537434982f) * z + 0.133314913f;
	Vector		small = (p * z - 0.333332839f) * z * x + x;
	Vector		large = 1.0f - 2.0f / (vector_exp(2.0f * held) + 1.0f);

	large = (Vector) ((Bits) large | ((Bits) x & sign));
	return choose(magnitude < 0.625f, small, large);
}

LOOPS_STATIC float
loop_dot(const float *a, const float *b, size_t n)
{
	Vector		sum[4] = {{0}, {0}, {0}, {0}};	/* four chains, to hide an addition's latency */
	size_t		i;
	int			j;

	for (i = 0; i + 4 * LOOPS_WIDTH <= n; i += 4 * LOOPS_WIDTH)
		for (j = 0; j < 4; j++)
			sum[j] += load(a + i + j * LOOPS_WIDTH) * load(b + i + j * LOOPS_WIDTH);
	for (; i + LOOPS_WIDTH <= n; i += LOOPS_WIDTH)
		sum[0] += load(a + i) * load(b + i);
	if (i < n)
		sum[1] += load_rest(a + i, n - i, 0) * load_rest(b + i, n - i, 0);
	return vector_sum((sum[0] + sum[2]) + (sum[1] + sum[3]));
}

LOOPS_STATIC float
loop_max(const float *x, size_t n)
{
	Vector		most[2] = {{0}, {0}};	/* two chains, to hide a comparison's latency */
	float		lane[LOOPS_WIDTH];
	float		max = 0;
	size_t		i;
	int			j;

	for (i = 0; i + 2 * LOOPS_WIDTH <= n; i += 2 * LOOPS_WIDTH)
		for (j = 0; j < 2; j++)
		{
			Vector		v = load(x + i + j * LOOPS_WIDTH);

			most[j] = choose(v > most[j], v, most[j]);
		}
	store(lane, choose(most[0] > most[1], most[0], most[1]));
	for (j = 0; j < LOOPS_WIDTH; j++)
		max = lane[j] > max ? lane[j] : max;
	for (; i < n; i++)
		max = x[i] > max ? x[i] : max;
	return max;
}

LOOPS_STATIC void
loop_add_scaled(float *restrict y, float alpha, const float *restrict x, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		y[i] += alpha * x[i];
}

LOOPS_STATIC void
loop_add_scaled_exact(double *restrict y, double alpha, const float *restrict x, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		y[i] += alpha * x[i];
}

/*
 * A vector times a matrix.  Up to REGISTERS vectors of outputs are kept in
 * registers over all rows, so that a weight is loaded once and nothing is
 * stored in between.  The number is a constant wherever this is called.
 */
LOOPS_INLINE void
add_rows_block(float *restrict y, const float *restrict weight, size_t stride, int vectors,
			   const float *restrict x, const int32_t *restrict index, int count)
{
	Vector		sum[REGISTERS];
	int			i;
	int			j;

	for (j = 0; j < vectors; j++)
		sum[j] = load(y + j * LOOPS_WIDTH);
	for (i = 0; i < count; i++)
	{
		const float *row = weight + (size_t) (index != NULL ? index[i] : i) * stride;
		Vector		factor = spread(x[i]);

		for (j = 0; j < vectors; j++)
			sum[j] += factor * load(row + j * LOOPS_WIDTH);
	}
	for (j = 0; j < vectors; j++)
		store(y + j * LOOPS_WIDTH, sum[j]);
}

/* Rows that are added at once where rows are long, and vectors of outputs kept in registers meanwhile. */
#define ROWS_TOGETHER 8
#define ROWS_VECTORS 4

/* Floats of a row from which on that pays. */
#define LONG_ROW 256

/*
 * Long rows lie on pages of their own: then each row is read from end to end,
 * some of them side by side, and the outputs are loaded and stored once for
 * those.  Each output is summed in the same order.  The number is a constant
 * but for the last rows.
 */
LOOPS_INLINE void
add_long_rows(float *restrict y, const float *restrict weight, size_t stride, int columns,
			  const float *restrict x, const int32_t *restrict index, int from, int count)
{
	const float *row[ROWS_TOGETHER];
	Vector		factor[ROWS_TOGETHER];
	int			done;
	int			i;
	int			j;

	for (i = 0; i < count; i++)
	{
		row[i] = weight + (size_t) (index != NULL ? index[from + i] : from + i) * stride;
		factor[i] = spread(x[from + i]);
	}
	for (done = 0; done + ROWS_VECTORS * LOOPS_WIDTH <= columns; done += ROWS_VECTORS * LOOPS_WIDTH)
	{
		Vector		sum[ROWS_VECTORS];

		for (j = 0; j < ROWS_VECTORS; j++)
			sum[j] = load(y + done + j * LOOPS_WIDTH);
		for (i = 0; i < count; i++)
			for (j = 0; j < ROWS_VECTORS; j++)
				sum[j] += factor[i] * load(row[i] + done + j * LOOPS_WIDTH);
		for (j = 0; j < ROWS_VECTORS; j++)
			store(y + done + j * LOOPS_WIDTH, sum[j]);
	}
	for (; done < columns; done++)
		for (i = 0; i < count; i++)
			y[done] += x[from + i] * row[i][done];
}

LOOPS_STATIC void
loop_add_rows(float *restrict y, const float *restrict weight, size_t stride, int columns,
			  const float *restrict x, const int32_t *restrict index, int count)
{
	const int	block = REGISTERS * LOOPS_WIDTH;
	int			done;
	int			i;

	if (columns >= LONG_ROW)
	{
		for (i = 0; i + ROWS_TOGETHER <= count; i += ROWS_TOGETHER)
			add_long_rows(y, weight, stride, columns, x, index, i, ROWS_TOGETHER);
		if (i < count)
			add_long_rows(y, weight, stride, columns, x, index, i, count - i);
		return;
	}
	for (done = 0; done + block <= columns; done += block)
		add_rows_block(y + done, weight + done, stride, REGISTERS, x, index, count);
	for (; done + LOOPS_WIDTH <= columns; done += LOOPS_WIDTH)
		add_rows_block(y + done, weight + done, stride, 1, x, index, count);
	if (done < columns)
		for (i = 0; i < count; i++)
			loop_add_scaled(y + done, x[i], weight + (size_t) (index != NULL ? index[i] : i) * stride + done,
							columns - done);
}

LOOPS_STATIC void
loop_tanh_scaled(float *restrict y, float factor, const float *restrict x, size_t n)
{
	size_t		i;

	for (i = 0; i + LOOPS_WIDTH <= n; i += LOOPS_WIDTH)
		store(y + i, vector_tanh(factor * load(x + i)));
	if (i < n)
		store_rest(y + i, n - i, vector_tanh(factor * load_rest(x + i, n - i, 0)));
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
loop_rbf(float *restrict y, float factor, const float *restrict width, size_t n)
{
	size_t		i;

	for (i = 0; i + LOOPS_WIDTH <= n; i += LOOPS_WIDTH)
		store(y + i, vector_exp((load(y + i) * factor - 1.0f) / load(width + i)));
	if (i < n)
		store_rest(y + i, n - i, vector_exp((load_rest(y + i, n - i, 0) * factor - 1.0f) / load_rest(width + i, n - i, 1)));
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
loop_combine(float *restrict to, float a, const float *restrict x, float b, const float *restrict y, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		to[i] = a * x[i] + b * y[i];
}

LOOPS_STATIC void
loop_rotate(float *restrict w, float *restrict v, float a, float b, float c, float d,
			const float *restrict g, float rate, size_t n)
{
	size_t		i;

	if (g == NULL)
		for (i = 0; i < n; i++)
		{
			float		weight = a * w[i] + b * v[i];

			v[i] = c * w[i] + d * v[i];
			w[i] = weight;
		}
	else
		for (i = 0; i < n; i++)
		{
			float		weight = a * w[i] + b * v[i] - rate * g[i];

			v[i] = c * w[i] + d * v[i] + g[i];
			w[i] = weight;
		}
}

/* One vector of an Adam step. */
LOOPS_INLINE Vector
adam_vector(Vector w, Vector *m, Vector *v, Vector g, const AdamStep *s)
{
	g *= s->gradient_factor;
	*m = s->beta1 * *m + (1 - s->beta1) * g;
	*v = s->beta2 * *v + (1 - s->beta2) * g * g;
	return w - (s->decay * w + s->step_size * *m / (LOOPS_ROOT(*v) * s->second_correction + s->epsilon));
}

LOOPS_STATIC void
loop_adam(float *restrict w, float *restrict m, float *restrict v, const float *restrict g,
		  const AdamStep *step, size_t n)
{
	const AdamStep s = *step;
	Vector		first;
	Vector		second;
	Vector		gradient = {0};
	size_t		i;

	for (i = 0; i + LOOPS_WIDTH <= n; i += LOOPS_WIDTH)
	{
		first = load(m + i);
		second = load(v + i);
		if (g != NULL)
			gradient = load(g + i);
		store(w + i, adam_vector(load(w + i), &first, &second, gradient, &s));
		store(m + i, first);
		store(v + i, second);
	}
	if (i < n)
	{
		first = load_rest(m + i, n - i, 0);
		second = load_rest(v + i, n - i, 0);
		if (g != NULL)
			gradient = load_rest(g + i, n - i, 0);
		store_rest(w + i, n - i, adam_vector(load_rest(w + i, n - i, 0), &first, &second, gradient, &s));
		store_rest(m + i, n - i, first);
		store_rest(v + i, n - i, second);
	}
}

/* The kinds of some pairs; what an array lacks counts as PAIR_SELF, which takes no part. */
LOOPS_INLINE Mask
load_kinds(const uint8_t *kind, size_t count)
{
	uint8_t		padded[LOOPS_WIDTH];

	if (count >= LOOPS_WIDTH)
		return (Mask) LOOPS_WIDEN(kind);
	memset(padded, PAIR_SELF, sizeof(padded));
	memcpy(padded, kind, count);
	return (Mask) LOOPS_WIDEN(padded);
}

LOOPS_INLINE Vector
load_some(const float *from, size_t count)
{
	return count >= LOOPS_WIDTH ? load(from) : load_rest(from, count, 0);
}

LOOPS_STATIC void
loop_extremes(const float *restrict cosine, const uint8_t *restrict kind, int n,
			  float *min_positive, float *max_negative)
{
	Vector		min = spread(INFINITY);
	Vector		max = spread(-INFINITY);
	float		lane[LOOPS_WIDTH];
	int			i;

	for (i = 0; i < n; i += LOOPS_WIDTH)
	{
		Mask		kinds = load_kinds(kind + i, n - i);
		Vector		s = load_some(cosine + i, n - i);

		min = choose((kinds == PAIR_POSITIVE) & (s < min), s, min);
		max = choose((kinds == PAIR_NEGATIVE) & (s > max), s, max);
	}
	store(lane, min);
	*min_positive = lane[0];
	for (i = 1; i < LOOPS_WIDTH; i++)
		*min_positive = lane[i] < *min_positive ? lane[i] : *min_positive;
	store(lane, max);
	*max_negative = lane[0];
	for (i = 1; i < LOOPS_WIDTH; i++)
		*max_negative = lane[i] > *max_negative ? lane[i] : *max_negative;
}

LOOPS_STATIC void
loop_pair_weights(float *restrict weight, const float *restrict cosine, const uint8_t *restrict kind,
				  int n, const float *restrict p, float sums[2])
{
	const Vector zero = {0};
	Vector		positive_sum = {0};
	Vector		negative_sum = {0};
	int			i;

	for (i = 0; i < n; i += LOOPS_WIDTH)
	{
		Mask		kinds = load_kinds(kind + i, n - i);
		Vector		s = load_some(cosine + i, n - i);
		Mask		positive = (kinds == PAIR_POSITIVE) & (s < p[PAIR_POSITIVE_BELOW]);
		Mask		negative = (kinds == PAIR_NEGATIVE) & (s > p[PAIR_NEGATIVE_ABOVE]);
		Vector		slope = choose(positive, spread(p[PAIR_POSITIVE_SLOPE]), spread(p[PAIR_NEGATIVE_SLOPE]));
		Vector		shift = choose(positive, spread(p[PAIR_POSITIVE_SHIFT]), spread(p[PAIR_NEGATIVE_SHIFT]));
		Vector		value = choose(positive | negative, vector_exp(slope * s + shift), zero);

		positive_sum += choose(positive, value, zero);
		negative_sum += choose(negative, value, zero);
		if (n - i >= LOOPS_WIDTH)
			store(weight + i, value);
		else
			store_rest(weight + i, n - i, value);
	}
	sums[0] = vector_sum(positive_sum);
	sums[1] = vector_sum(negative_sum);
}

LOOPS_STATIC void
loop_pair_gradient(float *restrict gradient, const float *restrict weight, const uint8_t *restrict kind,
				   int n, float positive, float negative)
{
	int			i;

	for (i = 0; i < n; i += LOOPS_WIDTH)
	{
		Vector		factor = choose(load_kinds(kind + i, n - i) == PAIR_POSITIVE, spread(positive), spread(negative));
		Vector		value = factor * load_some(weight + i, n - i);

		if (n - i >= LOOPS_WIDTH)
			store(gradient + i, value);
		else
			store_rest(gradient + i, n - i, value);
	}
}

const VectorLoops LOOPS_STRUCT = {
	.name = LOOPS_NAME,
	.dot = loop_dot,
	.max = loop_max,
	.add_scaled = loop_add_scaled,
	.add_scaled_exact = loop_add_scaled_exact,
	.add_rows = loop_add_rows,
	.tanh_scaled = loop_tanh_scaled,
	.bias_relu = loop_bias_relu,
	.rbf = loop_rbf,
	.mask_relu = loop_mask_relu,
	.sgd = loop_sgd,
	.combine = loop_combine,
	.rotate = loop_rotate,
	.adam = loop_adam,
	.extremes = loop_extremes,
	.pair_weights = loop_pair_weights,
	.pair_gradient = loop_pair_gradient,
};
