/*
 * core/network_bound.c: how far rounding can move the outputs of a network,
 * E + e of core/network_encode.c.
 *
 * The bound.  A dot product of n terms, in whatever order, with or without
 * fused operations, errs by at most n·u·Σ|w_i x_i| <= n·u·‖w‖·‖x‖ (u = 2^-24,
 * the second step is Cauchy–Schwarz); the bias counts as a term whose x is 1.
 * For a linear network we take exactly this: about two bits in a thousand are
 * recomputed, by one dot product each.
 *
 * With a hidden layer that worst case is thousands of times what rounding does,
 * and would recompute most rows, each as dear as encoding it.  Roundings are as
 * good as random (Higham & Mary, "A new approach to probabilistic rounding
 * error analysis", SIAM J. Sci. Comput. 41, 2019): they add up as √n, not n,
 * and the hidden units' errors, independent of each other, as the root of
 * their squares.  We take 4 + √n/4 in n's place.  In networks of 512 and 4,096
 * units trained on 1,280 image features and on captions the errors were at
 * most 0.7 where this allows 10 and 20, with a root mean square of 0.13; it
 * recomputes 2 to 4 rows in a thousand.
 *
 * With more hidden layers each layer's roundings go through all that follow.
 * Into the next layer they go independent of each other, as above.  What comes
 * out of that has them in common, so how its parts add up further on depends
 * on the weights and on which units are active: there we take the sum of
 * magnitudes, which is the most that it can be (a ReLU makes no difference
 * greater).  That is √n times what weights of random signs do, for each layer
 * from the third on: of three layers some rows in a hundred are recomputed, of
 * four most, of six all, which takes 2 to 3 times the time of the products.
 *
 * With a kernel, rows come at unit length, which is exact but for a rounding:
 * lengths are computed in double, alike of dense and sparse rows.  For a linear
 * one that adds two roundings to the bound above.  A radial basis function g =
 * exp(z), z = (u·a − 1)/s, has the error g·|dz|, where dz has
 *   - the roundings of u·a, random and another unit's independent: at most
 *     (4 + √d/4)·u·‖a‖/s, and of exp: together ρ = ((4 + √d/4)·‖a‖)/s + 4
 *     roundings, which reach an output as no more than ρ·u·max g·‖w‖;
 *   - those of the row's length, of z and of s, which all units may have in
 *     common: at most 3·(1 + ‖a‖)/s, so they count with the roundings of the
 *     last layer, whose bound is (4 + √n/4 + 3·(1 + ‖a‖)/s)·u·‖w‖·‖(g, 1)‖.
 * A width that is not above 0, an exponent that can leave the
 * range of exp, and lengths that let a sum overflow make everything be recomputed.
 */
#include "core/network.h"

#include <math.h>
#include <string.h>

#define UNIT_ROUNDOFF 0x1p-24

/*
 * The smallest that a sum of squares counts as: weights below 1e-15 are taken for
 * as large, so that squares, and products with features, may underflow.
 */
#define MIN_SQUARES 1e-30f

/* Exponents of radial basis functions up to here are computed alike in float and in double. */
#define MAX_EXPONENT 80

/* Nor do anchors up to this length make a sum overflow, which exp would turn into a 0. */
#define MAX_ANCHOR_LENGTH 1e6

/* How many roundings' worth of error a sum of n terms may carry. */
static double
bound_roundings(const Network *network, int n)
{
	if (network->layers == 1)
		return n + (network->kernel == KERNEL_LINEAR ? 4 : 2);
	return 4 + sqrt(n) / 4;
}

/*
 * Add to sums[outputs] the squares of each output's weights, each weighted
 * with factor[input] (NULL: 1), and of its bias.
 */
static inline __attribute__((always_inline)) void
bound_add_squares(const CoreEnv *env, const Layer *layer, const float *factor, float *sums)
{
	size_t		work = 0;
	int			i;
	int			k;

	for (i = 0; i < layer->inputs; i++)
	{
		const float *row = layer->weight + (size_t) i * layer->outputs;
		float		f = factor != NULL ? factor[i] : 1;

		for (k = 0; k < layer->outputs; k++)
			sums[k] += f * row[k] * row[k];
		work += layer->outputs;
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
	if (factor == NULL)
		for (k = 0; k < layer->outputs; k++)
			sums[k] += layer->bias[k] * layer->bias[k];
	for (k = 0; k < layer->outputs; k++)
		sums[k] = sums[k] < MIN_SQUARES ? MIN_SQUARES : sums[k];
}

/* Add to sums[outputs] the magnitudes of each output's weights, each times factor[input]. */
static void
bound_add_magnitudes(const CoreEnv *env, const Layer *layer, const float *factor, float *sums)
{
	size_t		work = 0;
	int			i;
	int			k;

	for (i = 0; i < layer->inputs; i++)
	{
		const float *row = layer->weight + (size_t) i * layer->outputs;

		for (k = 0; k < layer->outputs; k++)
			sums[k] += factor[i] * fabsf(row[k]);
		work += layer->outputs;
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

/*
 * The errors of the outputs by the roundings of layer `from`, in units of one
 * rounding of that layer's.  work[2] are as wide as the widest layer each.
 */
static void
bound_spread(const CoreEnv *env, const Network *network, int from, float *work[2], float *spread)
{
	const Layer *layer = &network->layer[from];
	int			last = network->layers - 1;
	float	   *to = from == last ? spread : work[0];
	int			l;
	int			k;

	memset(to, 0, layer->outputs * sizeof(float));
	bound_add_squares(env, layer, NULL, to);
	for (l = from + 1; l <= last; l++)
	{
		const float *factor = to;

		layer = &network->layer[l];
		to = l == last ? spread : work[(l - from) % 2];
		memset(to, 0, layer->outputs * sizeof(float));
		if (l == from + 1)
			bound_add_squares(env, layer, factor, to);
		else
			bound_add_magnitudes(env, layer, factor, to);
		if (l == from + 1 && l < last)
			for (k = 0; k < layer->outputs; k++)
				to[k] = sqrtf(to[k]);
	}
	if (last - from <= 1)
		for (k = 0; k < network->outputs; k++)
			spread[k] = sqrtf(spread[k]);
}

/*
 * Roundings of radial basis functions: those that are each unit's own, and what
 * they have in common (see above).
 */
static void
bound_rbf_roundings(const CoreEnv *env, const Layer *layer, float *squares, double *own, double *common)
{
	double		max_exponent = 0;
	int			j;

	*own = *common = 0;
	memset(squares, 0, layer->outputs * sizeof(float));
	bound_add_squares(env, layer, NULL, squares);
	for (j = 0; j < layer->outputs; j++)
	{
		double		width = layer->bias[j];
		double		length = sqrt(squares[j]);	/* its bias counts as a weight there: an upper bound */

		*own = fmax(*own, (4 + sqrt(layer->inputs) / 4) * length / width);
		*common = fmax(*common, 3 * (1 + length) / width);
		max_exponent = fmax(max_exponent, (length - 1) / width);
		if (!(width > 0 && length < MAX_ANCHOR_LENGTH))
			max_exponent = INFINITY;
	}
	*own += 4;
	if (!(max_exponent < MAX_EXPONENT))
		*common = INFINITY;
}

/* bound[0..outputs) times the greatest g, plus the next outputs times the length of (g, 1), is E + e. */
static void
bound_fill_rbf(const CoreEnv *env, const Network *network, float *bound)
{
	const Layer *last = &network->layer[1];
	float	   *squares = env->allocate(env->arena, network->units * sizeof(float));
	double		own;
	double		common;
	int			k;

	bound_rbf_roundings(env, &network->layer[0], squares, &own, &common);
	memset(bound, 0, network->outputs * sizeof(float));
	bound_add_squares(env, last, NULL, bound);
	for (k = 0; k < network->outputs; k++)
	{
		double		length = 1.05 * UNIT_ROUNDOFF * sqrt(bound[k]);

		bound[k] = own * length;
		bound[network->outputs + k] = (bound_roundings(network, last->inputs) + common) * length;
	}
}

/*
 * bound[0..outputs) times the length of the first layer's input (x, 1), plus,
 * for each hidden layer, the next outputs times that of (hidden, 1), is E + e;
 * a little more than that, since these sums are rounded too.  (e is E/2^29.)
 */
static void
bound_fill(const CoreEnv *env, const Network *network, float *bound)
{
	size_t		widest = network->units > network->outputs ? network->units : network->outputs;
	float	   *work[2] = {NULL, NULL};
	int			l;
	int			k;

	if (network->kernel == KERNEL_RBF)
	{
		bound_fill_rbf(env, network, bound);
		return;
	}
	if (network->layers > 1)
	{
		work[0] = env->allocate(env->arena, widest * sizeof(float));
		work[1] = env->allocate(env->arena, widest * sizeof(float));
	}
	for (l = 0; l < network->layers; l++)
	{
		double		factor = 1.05 * UNIT_ROUNDOFF * bound_roundings(network, network->layer[l].inputs);
		float	   *of_layer = bound + (size_t) l * network->outputs;

		bound_spread(env, network, l, work, of_layer);
		for (k = 0; k < network->outputs; k++)
			of_layer[k] = factor * of_layer[k];
	}
}

void
network_prepare(const CoreEnv *env, Network *network)
{
	if (network->rounding_bound == NULL)
		network->rounding_bound = env->allocate(env->arena,
												(size_t) network->layers * network->outputs * sizeof(float));
	bound_fill(env, network, network->rounding_bound);
}
