/*
 * model_load.c: read a model's weights and make networks of them that take
 * features as they come.
 *
 * The model scales features before its first layer: h = Wᵀ((x − s)·f) + b.
 * That is the linear layer with rows f_i·W_i and bias b − Σ s_i·f_i·W_i, so it
 * costs nothing when encoding.
 */
#include "model.h"

#include <math.h>

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* weight [inputs × outputs], shift and scale [scales], bias [outputs] */
static void
fold(Layer *layer, const float *shift, const float *scale, int scales)
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

/* The stored weights of a finished model, in the surroundings' memory. */
void
model_read(const ModelTables *tables, const ModelRow *row, const Surroundings *surroundings,
		   ModelWeights *weights)
{
	float	   *floats;

	if (strcmp(row->status, "training") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" is not trained yet", row->name),
				 errhint("The view xmhash_models shows how far its training is.")));
	model_check_parts(tables, "xmhash_model_part", row->name, &row->id, model_floats(row));
	floats = surroundings->allocate(surroundings->arena, model_floats(row) * sizeof(float));
	model_read_parts(tables, "xmhash_model_part", row->name, &row->id, floats, model_floats(row));
	model_layout(row, floats, surroundings, weights);
}

/* Its networks, ready to take features as they come. */
void
model_load(const ModelTables *tables, const ModelRow *row, const Surroundings *surroundings,
		   Network network[2])
{
	ModelWeights weights;
	int			side;

	model_read(tables, row, surroundings, &weights);
	for (side = 0; side < 2; side++)
	{
		network[side] = weights.network[side];
		if (!model_has(row, side))
			continue;
		fold(&weights.network[side].layer[0], weights.shift[side], weights.scale[side],
			 row->scales[side]);
		network_prepare(surroundings, &network[side]);
	}
}
