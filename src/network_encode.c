/*
 * network_encode.c: code bits that do not depend on how they were computed.
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
 */
#include "network.h"

#include "vector.h"

#include <math.h>
#include <string.h>

#define UNIT_ROUNDOFF 0x1p-24

/* Recomputations between two looks for interrupts. */
#define PATIENCE ((size_t) 1 << 24)

/* How many roundings' worth of error a sum of n terms may carry. */
static double
roundings(const Network *network, int n)
{
	if (network->layers == 1)
		return n + 2;
	return 4 + sqrt(n) / 4;
}

/*
 * Add to sums[outputs] the squares of each output's weights, each weighted
 * with factor[input] (NULL: 1), and of its bias.
 */
static void
add_column_squares(const Surroundings *surroundings, const Layer *layer, const float *factor, float *sums)
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
		if (work >= PATIENCE)
		{
			surroundings->interrupt();
			work = 0;
		}
	}
	if (factor == NULL)
		for (k = 0; k < layer->outputs; k++)
			sums[k] += layer->bias[k] * layer->bias[k];
}

/*
 * doubt[0..outputs) times the length of the layer's input (x, 1), plus, with a
 * hidden layer, doubt[outputs..) times that of (hidden, 1), is E + e; a little
 * more than that, since these sums are rounded too.  (e is E/2^29.)
 */
static void
fill_doubt(const Surroundings *surroundings, const Network *network, float *doubt)
{
	const Layer *first = &network->layer[0];
	const Layer *last = &network->layer[network->layers - 1];
	double		unit = 1.05 * UNIT_ROUNDOFF;
	int			k;

	memset(doubt, 0, 2 * (size_t) network->outputs * sizeof(float));
	if (network->layers == 2)
	{
		float	   *squares = surroundings->allocate(surroundings->arena, network->hidden * sizeof(float));

		add_column_squares(surroundings, first, NULL, squares);
		add_column_squares(surroundings, last, squares, doubt);
		add_column_squares(surroundings, last, NULL, doubt + network->outputs);
	}
	else
		add_column_squares(surroundings, first, NULL, doubt);
	for (k = 0; k < network->outputs; k++)
	{
		doubt[k] = unit * roundings(network, network->inputs) * sqrt(doubt[k]);
		doubt[network->outputs + k] = unit * roundings(network, network->hidden) *
			sqrt(doubt[network->outputs + k]);
	}
}

void
network_prepare(const Surroundings *surroundings, Network *network)
{
	if (network->doubt == NULL)
		network->doubt = surroundings->allocate(surroundings->arena,
												2 * (size_t) network->outputs * sizeof(float));
	fill_doubt(surroundings, network, network->doubt);
}

/* One row of features: its non-zeros, or all of it with column NULL. */
typedef struct Row
{
	int			count;
	const float *value;
	const int32_t *column;
} Row;

static Row
features_row(const Features *features, int i)
{
	Row			row;

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
exact_output(const Layer *layer, const Row *row, int k)
{
	const float *weight = layer->weight + k;
	double		lane[LANES] = {0};
	double		sum = layer->bias[k];
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
	return sum;
}

/*
 * Recomputing takes a row through all of the weights, at the speed of memory
 * if it is alone.  So rows are settled in groups, by parts of the weights that
 * stay in cache while each row of the group goes through them.  What is kept
 * of a group lies on the stack.
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
	Wanted		wanted[GROUP];
} Group;

/* hidden [rows of the group × count]: units from …, in double, before the ReLU. */
static void
fill_exact_units(const Surroundings *surroundings, const Layer *layer, const Group *group,
				 int from, int count, double *hidden)
{
	const VectorLoops *loops = vector_loops();
	int			next[GROUP] = {0};	/* the rows' first value not yet used */
	size_t		work = 0;
	int			to;
	int			i;
	int			j;

	for (i = 0; i < group->count; i++)
		for (j = 0; j < count; j++)
			hidden[i * count + j] = layer->bias[from + j];
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
				loops->add_scaled_exact(hidden + i * count, row->value[next[i]],
										layer->weight + (size_t) input * layer->outputs + from, count);
				work += count;
			}
		}
		if (work >= PATIENCE)
		{
			surroundings->interrupt();
			work = 0;
		}
	}
}

/*
 * Compute hidden units from … in double and add their share to the wanted
 * sums.  Inputs, blocks and units come in ascending order, so the order of
 * terms is fixed here too, whatever rows make up a group.
 */
static void
add_exact_units(const Surroundings *surroundings, const Network *network, int from, int count,
				Group *group)
{
	const Layer *last = &network->layer[1];
	double		hidden[UNITS];
	int			i;
	int			j;
	int			k;

	fill_exact_units(surroundings, &network->layer[0], group, from, count, hidden);
	for (i = 0; i < group->count; i++)
	{
		Wanted	   *wanted = &group->wanted[i];

		for (j = 0; j < count; j++)
		{
			const float *weight = last->weight + (size_t) (from + j) * last->outputs;

			double		unit = hidden[i * count + j];

			if (unit > 0)
				for (k = 0; k < wanted->count; k++)
					wanted->sum[k] += unit * weight[wanted->output[k]];
		}
	}
}

/* Replace the wanted outputs of a group by ±1: by one dot product each, or through the hidden layer. */
static void
settle(const Surroundings *surroundings, const Network *network, Group *group)
{
	int			units = UNITS / group->count;
	int			from;
	int			i;
	int			k;

	for (i = 0; i < group->count; i++)
	{
		Wanted	   *wanted = &group->wanted[i];

		for (k = 0; k < wanted->count; k++)
			wanted->sum[k] = network->layers == 1 ?
				exact_output(&network->layer[0], &wanted->row, wanted->output[k]) :
				network->layer[1].bias[wanted->output[k]];
	}
	for (from = 0; from < network->hidden; from += units)
	{
		int			rest = network->hidden - from;

		add_exact_units(surroundings, network, from, rest < units ? rest : units, group);
		surroundings->interrupt();
	}
	for (i = 0; i < group->count; i++)
	{
		Wanted	   *wanted = &group->wanted[i];

		for (k = 0; k < wanted->count; k++)
			wanted->h[wanted->output[k]] = wanted->sum[k] > 0 ? 1 : -1;
	}
	group->count = 0;
}

/*
 * Put the outputs of a row that rounding could have moved across zero into the
 * group, and settle it when it is full.
 */
static void
doubt_row(const Surroundings *surroundings, const Network *network, const Row *row,
		  const float *hidden, const float *doubt, float *h, Group *group)
{
	const VectorLoops *loops = vector_loops();
	int			outputs = network->outputs;
	float		length = sqrtf(loops->dot(row->value, row->value, row->count) + 1);
	float		hidden_length = 0;
	Wanted	   *wanted = NULL;
	int			k;

	if (network->layers == 2)
		hidden_length = sqrtf(loops->dot(hidden, hidden, network->hidden) + 1);
	for (k = 0; k < outputs; k++)
	{
		if (!(fabsf(h[k]) < doubt[k] * length + doubt[outputs + k] * hidden_length))
			continue;
		if (wanted == NULL || wanted->count == OUTPUTS)
		{
			if (group->count == GROUP)
				settle(surroundings, network, group);
			wanted = &group->wanted[group->count++];
			wanted->row = *row;
			wanted->h = h;
			wanted->count = 0;
		}
		wanted->output[wanted->count++] = k;
	}
}

/* The bits of one row, the first output in the highest bit of the first byte. */
static void
pack_row(const float *h, int outputs, uint8_t *code)
{
	int			k;

	memset(code, 0, ((size_t) outputs + 7) / 8);
	for (k = 0; k < outputs; k++)
		code[k / 8] |= (h[k] > 0) << (7 - k % 8);
}

void
network_encode(const Surroundings *surroundings, const Network *network,
			   const Features *features, float *scratch, float *outputs,
			   uint8_t *codes)
{
	const float *doubt = network->doubt;
	size_t		bytes = (network->outputs + 7) / 8;
	size_t		work = 0;
	Group		group;
	int			i;

	if (doubt == NULL)
	{
		float	   *filled = surroundings->allocate(surroundings->arena,
													2 * (size_t) network->outputs * sizeof(float));

		fill_doubt(surroundings, network, filled);
		doubt = filled;
	}
	network_forward(surroundings, network, features, scratch, outputs);
	group.count = 0;
	for (i = 0; i < features->rows; i++)
	{
		Row			row = features_row(features, i);

		doubt_row(surroundings, network, &row,
				  network->layers == 2 ? scratch + (size_t) i * network->hidden : NULL, doubt,
				  outputs + (size_t) i * network->outputs, &group);
		work += row.count + network->hidden + network->outputs;
		if (work >= PATIENCE)
		{
			surroundings->interrupt();
			work = 0;
		}
	}
	if (group.count > 0)
		settle(surroundings, network, &group);
	for (i = 0; i < features->rows; i++)
		pack_row(outputs + (size_t) i * network->outputs, network->outputs, codes + i * bytes);
}
