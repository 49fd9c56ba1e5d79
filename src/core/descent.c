/*
 * core/descent.c: what methods by gradient descent share: memory for an image
 * and a text network with their optimizers, the epoch, the state.
 */
#include "core/trainer.h"

#include <string.h>

void
descent_hidden_layers(const TrainOptions *options, HiddenLayers hidden[2])
{
	hidden[0] = network_hidden(options->image_hidden);
	hidden[1] = network_hidden(options->text_hidden);
}

void
descent_reserve(Trainer *trainer, ArenaPlan *plan, TrainOptimizer optimizer)
{
	const TrainOptions *options = &trainer->options;
	const BatchSource *source = &trainer->source;
	int			m = options->batch_size;

	trainer->steps = source->rows / m;
	trainer->permutation = arena_reserve(plan, source->rows, sizeof(int32_t));
	learner_reserve(&trainer->image, plan, optimizer, source->image_columns, options->image_hidden,
					options->bits, source->image_sparse, m);
	learner_reserve(&trainer->text, plan, optimizer, source->text_columns, options->text_hidden,
					options->bits, source->text_sparse, m);
	if (optimizer == OPTIMIZER_SGD)
	{
		sgd_reserve(&trainer->image, plan, source->image_columns, trainer->steps);
		sgd_reserve(&trainer->text, plan, source->text_columns, trainer->steps);
	}
	trainer->cosine = arena_reserve(plan, (size_t) m * m, sizeof(float));
	trainer->image_network = &trainer->image.network;
	trainer->text_network = &trainer->text.network;
}

/* Put trainer->permutation into random order, with looks for interrupts. */
void
descent_shuffle(Trainer *trainer, RandomKey key)
{
	int			rows = trainer->source.rows;
	int			chunk = 1 << 20;	/* random accesses: slower than INTERRUPT_CHECK_FLOATS allows for */
	int			i;

	for (i = 0; i < rows; i++)
		trainer->permutation[i] = i;
	for (i = rows; i > 0; i -= chunk)
	{
		random_shuffle(key, trainer->permutation, i > chunk ? i - chunk : 0, i);
		trainer->env.interrupt();
		if (i <= chunk)
			break;
	}
}

/* One step; the terms of its loss are set. */
static bool
descent_step(Trainer *trainer, int epoch, int step, double terms[TRAIN_MAX_TERMS])
{
	const TrainMethod *method = trainer->options.method;
	int			m = trainer->options.batch_size;
	TrainBatch	batch = {.epoch = epoch, .step = step};

	trainer->source.fetch(trainer->source.context, trainer->permutation + (size_t) step * m, m,
						  &batch.image, &batch.text, method->needs_labels ? &batch.labels : NULL);
	trainer->env.interrupt();
	return method->step(trainer, &batch, terms);
}

/* Complete the networks' state; are all weights finite? */
static bool
descent_finish(Trainer *trainer)
{
	sgd_finish_epoch(&trainer->image, trainer->steps);
	sgd_finish_epoch(&trainer->text, trainer->steps);
	return learner_finite(&trainer->image) && learner_finite(&trainer->text) &&
		learner_finite(&trainer->label);
}

/*
 * Train one epoch: every row once, in random order; the last incomplete batch
 * is dropped.
 */
void
descent_epoch(Trainer *trainer, int epoch, TrainLoss *loss)
{
	const TrainOptions *options = &trainer->options;
	int			step;
	int			i;

	loss->finite = true;
	descent_shuffle(trainer, random_key(options->seed, epoch, 0, RANDOM_SHUFFLE));
	for (step = 0; step < trainer->steps && loss->finite; step++)
	{
		double		terms[TRAIN_MAX_TERMS] = {0};

		loss->finite = descent_step(trainer, epoch, step, terms);
		for (i = 0; i < loss->terms; i++)
			loss->term[i] += terms[i] / trainer->steps;
	}
	for (i = 0; i < loss->terms; i++)
		loss->loss += loss->term[i];
	loss->learning_rate = options->learning_rate_image;
	if (options->method->schedule != NULL)
		loss->learning_rate *= options->method->schedule(trainer, epoch, trainer->steps - 1);
	loss->finite = loss->finite && descent_finish(trainer);
}

static int
descent_learner_state(const Learner *learner, const char *const names[3], TrainerState *states)
{
	int			count = 0;

	states[count++] = (TrainerState) {names[0], learner->parameters, learner->count, false};
	states[count++] = (TrainerState) {names[1], learner->velocity, learner->count, false};
	if (learner->second_moment != NULL)
		states[count++] = (TrainerState) {names[2], learner->second_moment, learner->count, false};
	return count;
}

/* Weights and optimizers: nothing else is carried from epoch to epoch. */
int
descent_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES])
{
	static const char *const image[] = {"image.parameters", "image.moment1", "image.moment2"};
	static const char *const text[] = {"text.parameters", "text.moment1", "text.moment2"};
	static const char *const label[] = {"label.parameters", "label.moment1", "label.moment2"};
	int			count = descent_learner_state(&trainer->image, image, states);

	count += descent_learner_state(&trainer->text, text, states + count);
	if (trainer->label.count > 0)
		count += descent_learner_state(&trainer->label, label, states + count);
	return count;
}
