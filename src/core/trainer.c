/*
 * core/trainer.c: a training by any method: memory, weights, epochs, state.
 */
#include "core/trainer.h"

#include <string.h>

/* Fill in a trainer and take its memory; or, without an arena, count it. */
static void
trainer_reserve(Trainer *trainer, const TrainOptions *options, const BatchSource *source, ArenaPlan *plan)
{
	const TrainMethod *method = options->method;

	trainer->options = *options;
	trainer->source = *source;
	if (method->resolve != NULL)
		method->resolve(&trainer->options, source);
	method->reserve(trainer, plan);
}

size_t
trainer_memory(const TrainOptions *options, const BatchSource *source)
{
	Trainer		trainer;
	ArenaPlan	plan = {NULL, 0};

	memset(&trainer, 0, sizeof(trainer));
	arena_reserve(&plan, 1, sizeof(Trainer));
	trainer_reserve(&trainer, options, source, &plan);
	return plan.bytes;
}

size_t
trainer_state_floats(const TrainOptions *options, const BatchSource *source)
{
	Trainer		trainer;
	ArenaPlan	plan = {NULL, 0};
	TrainerState states[TRAINER_MAX_STATES];
	size_t		floats = 0;
	int			count;
	int			i;

	memset(&trainer, 0, sizeof(trainer));
	trainer_reserve(&trainer, options, source, &plan);
	count = trainer_state(&trainer, states);
	for (i = 0; i < count; i++)
		floats += states[i].count;
	return floats;
}

Trainer *
trainer_create(const TrainOptions *options, const BatchSource *source, const CoreEnv *env)
{
	Trainer    *trainer = env->allocate(env->arena, sizeof(Trainer));
	ArenaPlan	plan = {&trainer->env, 0};

	trainer->env = *env;
	trainer_reserve(trainer, options, source, &plan);
	options->method->prepare(trainer);
	return trainer;
}

void
trainer_fit(Trainer *trainer)
{
	if (trainer->options.method->fit != NULL)
		trainer->options.method->fit(trainer);
}

/* After a non-finite loss the networks are not to be used. */
void
trainer_epoch(Trainer *trainer, int epoch, TrainLoss *loss)
{
	const TrainMethod *method = trainer->options.method;

	memset(loss, 0, sizeof(*loss));
	for (loss->terms = 0; method->loss_terms[loss->terms] != NULL; loss->terms++)
		loss->name[loss->terms] = method->loss_terms[loss->terms];
	method->epoch(trainer, epoch, loss);
}

const Network *
trainer_image_network(const Trainer *trainer)
{
	return trainer->image_network;
}

const Network *
trainer_text_network(const Trainer *trainer)
{
	return trainer->text_network;
}

int
trainer_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES])
{
	return trainer->options.method->state(trainer, states);
}
