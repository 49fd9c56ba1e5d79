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
 * The bound E + e is core/network_bound.c's.
 *
 * Whatever is not a finite number, or so small that squares of it vanish, is
 * recomputed too.
 */
#include "core/network.h"

#include "core/vector.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Rows whose inverse length is below this could make a sum overflow, which exp would turn into a 0. */
#define MIN_FACTOR 1e-30

/* One row of features: its non-zeros, or all of it with column NULL. */
typedef struct Row
{
	double		factor;			/* its inverse length with a kernel, else 1; set when it is recomputed */
	int			count;
	const float *value;
	const int32_t *column;
} Row;

static Row
encode_row(const Features *features, int i)
{
	Row			row;

	row.factor = 1;
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
		Row		   *row = &wanted->row;

		if (network->kernel != KERNEL_NONE)
			row->factor = inverse_length(row->value, row->column, row->count);
		for (k = 0; k < wanted->count; k++)
			wanted->sum[k] = network->layers == 1 ?
				recompute_output(last, row, wanted->output[k]) : last->bias[wanted->output[k]];
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
	{
		float		inverse = hidden[(size_t) rows * network->units + i];

		length[0] = inverse != 0 && inverse < MIN_FACTOR ? INFINITY :
			vector_loops()->max(hidden + (size_t) i * network->units, network->units);
	}
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
	Network		prepared = *network;
	size_t		bytes = (network->outputs + 7) / 8;
	size_t		work = 0;
	Group		group;
	int			i;

	if (prepared.rounding_bound == NULL)
		network_prepare(env, &prepared);
	network_forward(env, network, features, scratch, outputs);
	group.count = 0;
	group.max_rows = features->rows < GROUP ?
		features->rows * ((network->outputs + OUTPUTS - 1) / OUTPUTS) : GROUP;
	if (group.max_rows > GROUP)
		group.max_rows = GROUP;
	group.units[0] = NULL;
	for (i = 0; i < features->rows; i++)
	{
		Row			row = encode_row(features, i);

		encode_check_row(env, network, &row, features->rows, i, scratch, prepared.rounding_bound,
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
