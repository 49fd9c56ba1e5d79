/*
 * model/load.c: read a model's weights and make networks of them that take
 * features as they come.
 *
 * The model scales features before its first layer: h = Wᵀ((x − s)·f) + b.
 * That is the linear layer with rows f_i·W_i and bias b − Σ s_i·f_i·W_i, so it
 * costs nothing when encoding.  With a kernel rows come at unit length, and
 * nothing is shifted or scaled.
 */
#include "model/model.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

bool
model_has(const ModelRow *row, Modality modality)
{
	return row->dimensions[modality] > 0;
}

/* Hidden units of the network that has more of them: what one row's activations take. */
int
model_most_units(const ModelRow *row)
{
	return Max(network_units(&row->hidden[MODALITY_IMAGE]), network_units(&row->hidden[MODALITY_TEXT]));
}

static size_t
load_side_parameters(const ModelRow *row, int side)
{
	return model_has(row, side) ?
		network_parameters(row->dimensions[side], &row->hidden[side], row->bits) : 0;
}

/* Number of stored floats. */
size_t
model_floats(const ModelRow *row)
{
	size_t		count = 0;
	int			side;

	for (side = 0; side < 2; side++)
		count += load_side_parameters(row, side) + 2 * (size_t) row->scales[side];
	return count;
}

/* Lay networks, shifts and scales out over floats [model_floats(row)]. */
void
model_layout(const ModelRow *row, float *floats, const CoreEnv *env,
			 ModelWeights *weights)
{
	float	   *at = floats;
	int			side;

	weights->floats = floats;
	weights->count = model_floats(row);
	for (side = 0; side < 2; side++)
	{
		if (model_has(row, side))
			network_layout(&weights->network[side], row->dimensions[side], &row->hidden[side],
						   row->bits, at, env);
		else
			memset(&weights->network[side], 0, sizeof(Network));
		at += load_side_parameters(row, side);
	}
	for (side = 0; side < 2; side++)
	{
		weights->shift[side] = at;
		weights->scale[side] = at + row->scales[side];
		at += 2 * row->scales[side];
	}
}

/* weight [inputs × outputs], shift and scale [scales], bias [outputs] */
static void
load_fold(Layer *layer, const float *shift, const float *scale, int scales)
{
	double	   *bias = palloc0(layer->outputs * sizeof(double));
	int			i;
	int			k;

	for (i = 0; i < layer->inputs; i++)
	{
		float	   *row = layer->weight + (size_t) i * layer->outputs;
		float		factor = scale[scales == 1 ? 0 : i];
		double		moved = (double) shift[scales == 1 ? 0 : i] * factor;

		for (k = 0; k < layer->outputs; k++)
		{
			bias[k] -= moved * row[k];
			row[k] *= factor;
		}
		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	for (k = 0; k < layer->outputs; k++)
		layer->bias[k] = (float) (layer->bias[k] + bias[k]);
	pfree(bias);
}

/* The stored weights of a finished model, in the environment's arena. */
void
model_read(const ModelTable *table, const ModelRow *row, const CoreEnv *env,
		   ModelWeights *weights)
{
	if (strcmp(row->status, "training") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" is not trained yet", row->name),
				 errhint("The view xmhash_models shows how far its training is.")));
	model_layout(row, model_read_pieces(table, MODEL_PART_WEIGHTS, model_floats(row), env),
				 env, weights);
}

static void
load_fail_not_finite(const ModelRow *row, int side)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("model \"%s\" is damaged", row->name),
			 errdetail("A number of its %s network is not finite.", modality_name[side])));
}

/* All weights and biases of the network's layers are finite. */
bool
model_network_is_finite(const Network *network)
{
	int			i;

	for (i = 0; i < network->layers; i++)
	{
		const Layer *layer = &network->layer[i];
		size_t		count = (size_t) layer->inputs * layer->outputs;
		size_t		at;

		for (at = 0; at < count; at++)
		{
			if (at % (1 << 20) == 0)
				CHECK_FOR_INTERRUPTS();
			if (!isfinite(layer->weight[at]))
				return false;
		}
		for (at = 0; at < (size_t) layer->outputs; at++)
		{
			if (!isfinite(layer->bias[at]))
				return false;
		}
	}
	return true;
}

/*
 * The same of a prepared network, without a look at each weight: how far
 * rounding can move an output is known from all weights before it, and if one
 * of these is not finite, nor is that.
 */
static bool
load_prepared_is_finite(const Network *network)
{
	int			k;

	for (k = 0; k < network->layers * network->outputs; k++)
	{
		if (!isfinite(network->rounding_bound[k]))
			return model_network_is_finite(network);
	}
	return true;
}

/*
 * Networks that take features as they come, made of the weights, which change.
 * Returns the side with a number that is not finite then, or -1.
 */
int
model_networks(const ModelRow *row, ModelWeights *weights, const CoreEnv *env,
			   Network network[2])
{
	int			side;

	for (side = 0; side < 2; side++)
	{
		network[side] = weights->network[side];
		if (!model_has(row, side))
			continue;
		if (row->scales[side] > 0)
			load_fold(&weights->network[side].layer[0], weights->shift[side], weights->scale[side],
					  row->scales[side]);
		network_prepare(env, &network[side]);
		if (!load_prepared_is_finite(&network[side]))
			return side;
	}
	return -1;
}

/* Its networks, ready to take features as they come. */
void
model_load(const ModelTable *table, const ModelRow *row, const CoreEnv *env,
		   Network network[2])
{
	ModelWeights weights;
	int			side;

	model_read(table, row, env, &weights);
	side = model_networks(row, &weights, env, network);
	if (side >= 0)
		load_fail_not_finite(row, side);
}
