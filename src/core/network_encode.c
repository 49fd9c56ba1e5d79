/*
 * core/network_encode.c: code bits that do not depend on how they were computed.
 *
 * A bit is the sign of an output h.  One row alone, the same row in a batch,
 * and another number of threads add up the same products in different orders,
 * so h differs by rounding, and a bit could differ where h is near 0.  Where
 * rounding could have changed the sign, h is computed again in double, its
 * terms in the order of the inputs, and that sign counts.
 *
 * Why that is enough.  Let E bound the error of any float result h' against
 * the true value t, and e the double result's.  We trust |h'| >= E + e: then
 * |t| >= e, and h' has t's sign.  Below that the double result's sign counts,
 * which is t's own if |t| > e.  So any two results agree: both trusted, they
 * have t's sign; one of each, |t| >= e, so the double result has it too; both
 * recomputed, they are the same number.
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
 *
 * Whatever is not a finite number, or so small that squares of it vanish, is
 * recomputed too.
 */
#include "core/network.h"

#include "core/vector.h"

#include <float.h>
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

/* Neither do rows and anchors of these lengths make a sum of theirs overflow, which exp would turn into a 0. */
#define MIN_FACTOR 1e-30
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

static size_t
bound_bytes(const Network *network)
{
	return (size_t) network->layers * network->outputs * sizeof(float);
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
		network->rounding_bound = env->allocate(env->arena, bound_bytes(network));
	bound_fill(env, network, network->rounding_bound);
}

/* One row of features: its non-zeros, or all of it with column NULL. */
typedef struct Row
{
	double		factor;			/* its inverse length with a kernel, else 1 */
	int			count;
	const float *value;
	const int32_t *column;
} Row;

static Row
encode_row(const Network *network, const Features *features, int i)
{
	Row			row;

	row.factor = network->kernel != KERNEL_NONE ? features_inverse_length(features, i) : 1;
	if (features->dense != NULL)
	{
		row.count = features->columns;
		row.value = features->dense + (size_t) i * features->columns;
		row.column = NULL;
	}
	else
	{
		row.count = features->row_start[i + 1] - features->row_start[i];
		row.value = features->value + features->row_start[i];
		row.column = features->column + features->row_start[i];
	}
	return row;
}

/* Sums that a row's terms are dealt out to, so that one need not wait for another. */
#define LANES 8

/*
 * Output k of a layer in double: input i's term is added to lane i % LANES, in
 * the order of the inputs, then the lanes in theirs.  A zero adds nothing, so
 * dense and sparse rows give the same sum.
 */
static double
recompute_output(const Layer *layer, const Row *row, int k)
{
	const float *weight = layer->weight + k;
	double		lane[LANES] = {0};
	double		sum = 0;
	int			i = 0;
	int			j;

	if (row->column == NULL)
		for (; i + LANES <= row->count; i += LANES)
			for (j = 0; j < LANES; j++)
				lane[j] += (double) row->value[i + j] * weight[(size_t) (i + j) * layer->outputs];
	for (; i < row->count; i++)
	{
		size_t		input = row->column != NULL ? row->column[i] : i;

		lane[input % LANES] += (double) row->value[i] * weight[input * layer->outputs];
	}
	for (j = 0; j < LANES; j++)
		sum += lane[j];
	return row->factor * sum + layer->bias[k];
}

/*
 * Recomputing takes a row through all of the weights, at the speed of memory
 * if it is alone.  So rows are recomputed in groups, by parts of the weights that
 * stay in cache while each row of the group goes through them.  What is kept
 * of a group lies on the stack, unless there are several hidden layers.
 */
#define GROUP 8					/* rows of a group */
#define OUTPUTS 64				/* outputs of a row that are recomputed at a time */
#define UNITS 4096				/* hidden units kept, of all rows of a group together */
#define PART_INPUTS 32			/* inputs of a part of the weights */

/* Outputs of one row to be recomputed. */
typedef struct Wanted
{
	Row			row;
	float	   *h;
	int			count;
	int			output[OUTPUTS];
	double		sum[OUTPUTS];
} Wanted;

typedef struct Group
{
	int			count;
	int			max_rows;		/* that there can be */
	double	   *units[2];		/* [max_rows × widest hidden layer], once several layers need them */
	Wanted		wanted[GROUP];
} Group;

/* hidden [rows of the group × count]: units from …, in double, before the ReLU; of radial basis functions u·a. */
static void
recompute_units(const CoreEnv *env, const Network *network, const Group *group,
				 int from, int count, double *hidden)
{
	const Layer *layer = &network->layer[0];
	const VectorLoops *loops = vector_loops();
	int			next[GROUP] = {0};	/* the rows' first value not yet used */
	size_t		work = 0;
	int			to;
	int			i;
	int			j;

	for (i = 0; i < group->count; i++)
		for (j = 0; j < count; j++)
			hidden[(size_t) i * count + j] = network->kernel == KERNEL_RBF ? 0 : layer->bias[from + j];
	for (to = PART_INPUTS; to - PART_INPUTS < layer->inputs; to += PART_INPUTS)
	{
		for (i = 0; i < group->count; i++)
		{
			const Row  *row = &group->wanted[i].row;

			for (; next[i] < row->count; next[i]++)
			{
				int			input = row->column != NULL ? row->column[next[i]] : next[i];

				if (input >= to)
					break;
				if (row->value[next[i]] == 0)
					continue;
				loops->add_scaled_exact(hidden + (size_t) i * count, row->value[next[i]],
										layer->weight + (size_t) input * layer->outputs + from, count);
				work += count;
			}
		}
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

/* From u·a to g, of units from …; row by row. */
static void
recompute_rbf(const Layer *layer, const Group *group, int from, int count, double *hidden)
{
	int			i;
	int			j;

	for (i = 0; i < group->count; i++)
		for (j = 0; j < count; j++)
		{
			double	   *unit = &hidden[(size_t) i * count + j];

			*unit = exp((*unit * group->wanted[i].row.factor - 1) / layer->bias[from + j]);
		}
}

/* Add the share of hidden units from … of the last layer's inputs to the wanted sums. */
static void
recompute_add_units(const Layer *last, const double *hidden, int from, int count, Group *group)
{
	int			i;
	int			j;
	int			k;

	for (i = 0; i < group->count; i++)
	{
		Wanted	   *wanted = &group->wanted[i];

		for (j = 0; j < count; j++)
		{
			const float *weight = last->weight + (size_t) (from + j) * last->outputs;

			double		unit = hidden[(size_t) i * count + j];

			if (unit > 0)
				for (k = 0; k < wanted->count; k++)
					wanted->sum[k] += unit * weight[wanted->output[k]];
		}
	}
}

/*
 * One hidden layer, by blocks of its units.  Inputs, blocks and units come in
 * ascending order, so the order of terms is fixed here too, whatever rows make
 * up a group.
 */
static void
recompute_by_blocks(const CoreEnv *env, const Network *network, Group *group)
{
	double		hidden[UNITS];
	int			units = UNITS / group->count;
	int			from;

	for (from = 0; from < network->units; from += units)
	{
		int			rest = network->units - from;
		int			count = rest < units ? rest : units;

		recompute_units(env, network, group, from, count, hidden);
		if (network->kernel == KERNEL_RBF)
			recompute_rbf(&network->layer[0], group, from, count, hidden);
		recompute_add_units(&network->layer[1], hidden, from, count, group);
		env->interrupt();
	}
}

/* to [rows of the group × outputs]: a layer of the hidden units before, in double, before the ReLU. */
static void
recompute_layer(const CoreEnv *env, const Layer *layer, int rows,
				 const double *hidden, double *to)
{
	const VectorLoops *loops = vector_loops();
	size_t		work = 0;
	int			part;
	int			i;
	int			j;

	for (i = 0; i < rows; i++)
		for (j = 0; j < layer->outputs; j++)
			to[(size_t) i * layer->outputs + j] = layer->bias[j];
	for (part = 0; part < layer->inputs; part += PART_INPUTS)
	{
		int			end = part + PART_INPUTS < layer->inputs ? part + PART_INPUTS : layer->inputs;

		for (i = 0; i < rows; i++)
			for (j = part; j < end; j++)
			{
				double		unit = hidden[(size_t) i * layer->inputs + j];

				if (!(unit > 0))
					continue;
				loops->add_scaled_exact(to + (size_t) i * layer->outputs, unit,
										layer->weight + (size_t) j * layer->outputs, layer->outputs);
				work += layer->outputs;
			}
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

/* Several hidden layers, one after the other, each in full. */
static void
recompute_by_layers(const CoreEnv *env, const Network *network, Group *group)
{
	const Layer *last = &network->layer[network->layers - 1];
	int			l;

	if (group->units[0] == NULL)
	{
		int			widest = 0;

		for (l = 0; l < network->layers - 1; l++)
			widest = network->layer[l].outputs > widest ? network->layer[l].outputs : widest;
		for (l = 0; l < 2; l++)
			group->units[l] = env->allocate(env->arena,
													 (size_t) group->max_rows * widest * sizeof(double));
	}
	recompute_units(env, network, group, 0, network->layer[0].outputs, group->units[0]);
	for (l = 1; l < network->layers - 1; l++)
		recompute_layer(env, &network->layer[l], group->count,
						 group->units[(l - 1) % 2], group->units[l % 2]);
	recompute_add_units(last, group->units[(l - 1) % 2], 0, last->inputs, group);
	env->interrupt();
}

/* Replace the wanted outputs of a group by ±1: by one dot product each, or through the hidden layers. */
static void
recompute(const CoreEnv *env, const Network *network, Group *group)
{
	const Layer *last = &network->layer[network->layers - 1];
	int			i;
	int			k;

	for (i = 0; i < group->count; i++)
	{
		Wanted	   *wanted = &group->wanted[i];

		for (k = 0; k < wanted->count; k++)
			wanted->sum[k] = network->layers == 1 ?
				recompute_output(last, &wanted->row, wanted->output[k]) : last->bias[wanted->output[k]];
	}
	if (network->layers == 2)
		recompute_by_blocks(env, network, group);
	else if (network->layers > 2)
		recompute_by_layers(env, network, group);
	for (i = 0; i < group->count; i++)
	{
		Wanted	   *wanted = &group->wanted[i];

		for (k = 0; k < wanted->count; k++)
			wanted->h[wanted->output[k]] = wanted->sum[k] > 0 ? 1 : -1;
	}
	group->count = 0;
}

/* The length of (x, 1). */
static float
encode_length(const float *x, int count)
{
	return sqrtf(vector_loops()->dot(x, x, count) + 1);
}

/*
 * Put the outputs of a row that rounding could have moved across zero into the
 * group, and recompute it when it is full.  `layers` is a constant where it can
 * be, since small networks spend much of their time here.
 */
static inline __attribute__((always_inline)) void
encode_check_outputs(const CoreEnv *env, const Network *network, int layers, const Row *row,
			  const float *length, const float *bound, float *h, Group *group)
{
	int			outputs = network->outputs;
	Wanted	   *wanted = NULL;
	int			l;
	int			k;

	for (k = 0; k < outputs; k++)
	{
		float		error = bound[k] * length[0];

		for (l = 1; l < layers; l++)
			error += bound[(size_t) l * outputs + k] * length[l];
		if (fabsf(h[k]) > error && fabsf(h[k]) <= FLT_MAX)	/* false of NaN, which is recomputed */
			continue;
		if (wanted == NULL || wanted->count == OUTPUTS)
		{
			if (group->count == GROUP)
				recompute(env, network, group);
			wanted = &group->wanted[group->count++];
			wanted->row = *row;
			wanted->h = h;
			wanted->count = 0;
		}
		wanted->output[wanted->count++] = k;
	}
}

/* The largest of the numbers, none of which is negative. */
static float
encode_max(const float *x, int count)
{
	float		max = 0;
	int			i;

	for (i = 0; i < count; i++)
		max = x[i] > max ? x[i] : max;
	return max;
}

/* The same for row i of `rows`, whose hidden activations network_forward() has left. */
static void
encode_check_row(const CoreEnv *env, const Network *network, const Row *row, int rows, int i,
		  const float *hidden, const float *bound, float *h, Group *group)
{
	float		length[NETWORK_MAX_LAYERS];
	int			l;

	if (network->kernel == KERNEL_NONE)
		length[0] = encode_length(row->value, row->count);
	else if (network->kernel == KERNEL_LINEAR)
		length[0] = 1.5;		/* of (u, 1): √2 */
	else
		length[0] = row->factor != 0 && row->factor < MIN_FACTOR ? INFINITY :
			encode_max(hidden + (size_t) i * network->units, network->units);
	for (l = 1; l < network->layers; l++)
	{
		int			units = network->layer[l].inputs;

		length[l] = encode_length(hidden + (size_t) i * units, units);
		hidden += (size_t) rows * units;
	}
	if (network->layers == 1)
		encode_check_outputs(env, network, 1, row, length, bound, h, group);
	else if (network->layers == 2)
		encode_check_outputs(env, network, 2, row, length, bound, h, group);
	else
		encode_check_outputs(env, network, network->layers, row, length, bound, h, group);
}

/* The bits of one row, the first output in the highest bit of the first byte. */
static void
encode_pack(const float *h, int outputs, uint8_t *code)
{
	int			k;

	memset(code, 0, ((size_t) outputs + 7) / 8);
	for (k = 0; k < outputs; k++)
		code[k / 8] |= (h[k] > 0) << (7 - k % 8);
}

void
network_encode(const CoreEnv *env, const Network *network,
			   const Features *features, float *scratch, float *outputs,
			   uint8_t *codes)
{
	const float *bound = network->rounding_bound;
	size_t		bytes = (network->outputs + 7) / 8;
	size_t		work = 0;
	Group		group;
	int			i;

	if (bound == NULL)
	{
		float	   *filled = env->allocate(env->arena, bound_bytes(network));

		bound_fill(env, network, filled);
		bound = filled;
	}
	network_forward(env, network, features, scratch, outputs);
	group.count = 0;
	group.max_rows = features->rows < GROUP ?
		features->rows * ((network->outputs + OUTPUTS - 1) / OUTPUTS) : GROUP;
	if (group.max_rows > GROUP)
		group.max_rows = GROUP;
	group.units[0] = NULL;
	for (i = 0; i < features->rows; i++)
	{
		Row			row = encode_row(network, features, i);

		encode_check_row(env, network, &row, features->rows, i, scratch, bound,
				  outputs + (size_t) i * network->outputs, &group);
		work += row.count + network->units + network->outputs;
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
	if (group.count > 0)
		recompute(env, network, &group);
	for (i = 0; i < features->rows; i++)
		encode_pack(outputs + (size_t) i * network->outputs, network->outputs, codes + i * bytes);
}
