/*
 * train/validate.c: mean average precision on the pairs held out.
 *
 * Images are queries to the texts and texts to the images; the result is the
 * mean of both directions, ties in distance taken in expectation, so that it
 * does not hang on an order of rows.
 */
#include "train/run.h"

#include "core/metrics.h"
#include "miscadmin.h"
#include "server/core_env.h"
#include "utils/memutils.h"

#define ROWS_AT_A_TIME 256

/* Codes of all validation rows, both sides: codes[side] [count × words]. */
static void
validate_encode(Training *training, const CoreEnv *env, uint64_t *codes[2])
{
	TrainData  *data = &training->data;
	int			bits = training->row.bits;
	int			bytes = (bits + 7) / 8;
	float	   *outputs = env->allocate(env->arena, (size_t) ROWS_AT_A_TIME * bits * sizeof(float));
	uint8_t    *packed = env->allocate(env->arena, (size_t) ROWS_AT_A_TIME * bytes);
	int			from;
	int			side;
	int			i;

	for (side = 0; side < 2; side++)
	{
		Network		network = side == MODALITY_IMAGE ? *trainer_image_network(training->trainer) :
		*trainer_text_network(training->trainer);
		float	   *scratch = env->allocate(env->arena,
											(size_t) ROWS_AT_A_TIME * (network.units + 1) * sizeof(float));

		network.rounding_bound = NULL;	/* weights have moved since any earlier call */
		network_prepare(env, &network);
		for (from = 0; from < data->validation_count; from += ROWS_AT_A_TIME)
		{
			int			count = Min(ROWS_AT_A_TIME, data->validation_count - from);
			Features	features[2];

			CHECK_FOR_INTERRUPTS();
			train_data_fetch(data, data->validation + from, count, features, NULL);
			network_encode(env, &network, &features[side], scratch, outputs, packed);
			for (i = 0; i < count; i++)
				memcpy(codes[side] + (size_t) (from + i) * HAMMING_WORDS(bits), packed + (size_t) i * bytes, bytes);
		}
	}
}

double
train_validate(Training *training)
{
	TrainData  *data = &training->data;
	TrainRow   *entries = train_rows_entries(data->rows);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash validation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	int			count = data->validation_count;
	int			words = HAMMING_WORDS(training->row.bits);
	CoreEnv env;
	EvalSets	sets;
	uint64_t   *codes[2];
	int32_t    *set;
	double		map = 0;
	int			side;
	int			i;

	env = core_env(context);
	labels_eval_sets(data->labels, context, &sets);
	set = env.allocate(context, count * sizeof(int32_t));
	for (i = 0; i < count; i++)
		set[i] = entries[data->validation[i]].labels;
	for (side = 0; side < 2; side++)
		codes[side] = env.allocate(context, (size_t) count * words * sizeof(uint64_t));
	validate_encode(training, &env, codes);
	for (side = 0; side < 2; side++)
	{
		EvalDatabase database = {training->row.bits, count, codes[1 - side], set};
		EvalSummary summary;

		evaluator_summarize(evaluator_create(&env, &database, &sets, 0), count,
							codes[side], set, &summary);
		map += summary.map / 2;
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return map;
}
