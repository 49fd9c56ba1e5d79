/*
 * core/trainer.c: what both methods share: defaults, memory, the epoch.
 */
#include "core/trainer.h"

#include <math.h>
#include <string.h>

static void
jdsh_defaults(TrainOptions *options)
{
	options->epochs = 30;
	options->batch_size = 32;
	options->learning_rate_image = 0.01;
	options->learning_rate_text = 0.01;
	options->weight_decay = 5e-4;
	options->momentum = 0.9;
	options->alpha = 0.4;
	options->beta = 0.3;
	options->lambda = 0.3;
	options->eta = 0.1;
	options->mu = 1.4;
	options->l1 = 0.1;
	options->l2 = 0.2;
	options->low_factor = 2;
	options->high_factor = 4;
}

static void
dmsh_ln_defaults(TrainOptions *options)
{
	options->epochs = 100;
	options->batch_size = 128;
	options->learning_rate_image = 1e-3;
	options->learning_rate_text = 1e-3;
	options->learning_rate_label = 1e-2;
	options->weight_decay = 0.2;
	options->dropout = 0.2;
	options->warmup = 0.1;
	options->clip_norm = 1;
	options->adam_beta1 = 0.9;
	options->adam_beta2 = 0.98;
	options->adam_epsilon = 1e-6;
	options->init = TRAIN_INIT_FAN_IN;
	options->scale_positive = 2;
	options->scale_negative = 40;
	options->threshold = 0.5;
	options->margin = 0.1;
	options->weight_ii = 1;
	options->weight_tt = 1;
	options->weight_yy = 1;
	options->weight_it = 1;
	options->weight_iy = 1;
	options->weight_ty = 1;
}

void
train_defaults(TrainOptions *options, TrainMethod method)
{
	memset(options, 0, sizeof(*options));
	options->method = method;
	options->bits = 64;
	options->seed = 1;
	if (method == TRAIN_JDSH)
		jdsh_defaults(options);
	else
		dmsh_ln_defaults(options);
}

/* All memory of a trainer; options and source are set. */
static void
trainer_reserve(Trainer *trainer, ArenaPlan *plan)
{
	const TrainOptions *options = &trainer->options;
	const BatchSource *source = &trainer->source;
	size_t		pairs = (size_t) options->batch_size * options->batch_size;
	TrainOptimizer optimizer = options->method == TRAIN_JDSH ? OPTIMIZER_SGD : OPTIMIZER_ADAM;

	trainer->permutation = arena_reserve(plan, source->rows, sizeof(int32_t));
	learner_reserve(&trainer->image, plan, optimizer, source->image_columns, options->image_hidden,
				  options->bits, source->image_sparse, options->batch_size, trainer->steps);
	learner_reserve(&trainer->text, plan, optimizer, source->text_columns, options->text_hidden,
				  options->bits, source->text_sparse, options->batch_size, trainer->steps);
	trainer->cosine = arena_reserve(plan, pairs, sizeof(float));
	if (options->method == TRAIN_JDSH)
		similarity_reserve(&trainer->similarity, plan, source, options->batch_size);
	else
		dmsh_ln_reserve(trainer, plan);
}

size_t
trainer_memory(const TrainOptions *options, const BatchSource *source)
{
	Trainer		trainer;
	ArenaPlan		plan = {NULL, sizeof(Trainer)};

	memset(&trainer, 0, sizeof(trainer));
	trainer.options = *options;
	trainer.source = *source;
	trainer.steps = source->rows / options->batch_size;
	trainer_reserve(&trainer, &plan);
	return plan.bytes;
}

Trainer *
trainer_create(const TrainOptions *options, const BatchSource *source, const CoreEnv *env)
{
	Trainer    *trainer = env->allocate(env->arena, sizeof(Trainer));
	ArenaPlan		plan = {&trainer->env, 0};

	trainer->options = *options;
	trainer->source = *source;
	trainer->env = *env;
	trainer->steps = source->rows / options->batch_size;
	trainer_reserve(trainer, &plan);
	if (options->method == TRAIN_JDSH)
		jdsh_prepare(trainer);
	else
		dmsh_ln_prepare(trainer);
	return trainer;
}

/* Put trainer->permutation into random order, with looks for interrupts. */
void
trainer_shuffle(Trainer *trainer, RandomKey key)
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
trainer_step(Trainer *trainer, int epoch, int step, double terms[TRAIN_MAX_TERMS])
{
	int			m = trainer->options.batch_size;
	bool		labelled = trainer->options.method == TRAIN_DMSH_LN;
	const uint8_t *labels = NULL;
	Features	image;
	Features	text;

	trainer->source.fetch(trainer->source.context, trainer->permutation + (size_t) step * m, m,
						  &image, &text, labelled ? &labels : NULL);
	trainer->env.interrupt();
	if (labelled)
		return dmsh_ln_step(trainer, &image, &text, labels, epoch, step, terms);
	return jdsh_step(trainer, &image, &text, epoch, step, terms);
}

static void
name_terms(const Trainer *trainer, TrainLoss *loss)
{
	static const char *const jdsh[] = {"cross", "pair", "image", "text"};
	static const char *const dmsh_ln[] = {"ii", "tt", "yy", "it", "iy", "ty"};
	bool		is_jdsh = trainer->options.method == TRAIN_JDSH;
	int			i;

	loss->terms = is_jdsh ? 4 : 6;
	for (i = 0; i < loss->terms; i++)
		loss->name[i] = is_jdsh ? jdsh[i] : dmsh_ln[i];
}

/* Complete the networks' state; are all weights finite? */
static bool
finish_epoch(Trainer *trainer)
{
	sgd_finish_epoch(&trainer->image, trainer->steps);
	sgd_finish_epoch(&trainer->text, trainer->steps);
	return learner_finite(&trainer->image) && learner_finite(&trainer->text) &&
		learner_finite(&trainer->label);
}

/*
 * Train one epoch: every row once, in random order; the last incomplete batch
 * is dropped.  After a non-finite loss the networks are not to be used.
 */
void
trainer_epoch(Trainer *trainer, int epoch, TrainLoss *loss)
{
	const TrainOptions *options = &trainer->options;
	int			step;
	int			i;

	memset(loss, 0, sizeof(*loss));
	name_terms(trainer, loss);
	loss->finite = true;
	trainer_shuffle(trainer, random_key(options->seed, epoch, 0, RANDOM_SHUFFLE));
	for (step = 0; step < trainer->steps && loss->finite; step++)
	{
		double		terms[TRAIN_MAX_TERMS] = {0};

		loss->finite = trainer_step(trainer, epoch, step, terms);
		for (i = 0; i < loss->terms; i++)
			loss->term[i] += terms[i] / trainer->steps;
	}
	for (i = 0; i < loss->terms; i++)
		loss->loss += loss->term[i];
	loss->learning_rate = options->learning_rate_image;
	if (options->method == TRAIN_DMSH_LN)
		loss->learning_rate *= dmsh_ln_schedule(trainer, epoch, trainer->steps - 1);
	loss->finite = loss->finite && finish_epoch(trainer);
}

const DsdwFit *
trainer_dsdw(const Trainer *trainer)
{
	return &trainer->fit;
}

const Network *
trainer_image_network(const Trainer *trainer)
{
	return &trainer->image.network;
}

const Network *
trainer_text_network(const Trainer *trainer)
{
	return &trainer->text.network;
}

static int
learner_state(const Learner *learner, const char *const names[3], TrainerState *states)
{
	int			count = 0;

	states[count++] = (TrainerState) {names[0], learner->parameters, learner->count};
	states[count++] = (TrainerState) {names[1], learner->velocity, learner->count};
	if (learner->second_moment != NULL)
		states[count++] = (TrainerState) {names[2], learner->second_moment, learner->count};
	return count;
}

/*
 * Weights and optimizer; the fit's doubles go as pairs of floats, bit by bit.
 * Nothing else is carried from epoch to epoch.
 */
int
trainer_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES])
{
	static const char *const image[] = {"image.parameters", "image.moment1", "image.moment2"};
	static const char *const text[] = {"text.parameters", "text.moment1", "text.moment2"};
	static const char *const label[] = {"label.parameters", "label.moment1", "label.moment2"};
	int			count = learner_state(&trainer->image, image, states);

	count += learner_state(&trainer->text, text, states + count);
	if (trainer->options.method == TRAIN_DMSH_LN)
		count += learner_state(&trainer->label, label, states + count);
	else
		states[count++] = (TrainerState) {"dsdw", (float *) &trainer->fit, sizeof(trainer->fit) / sizeof(float)};
	return count;
}
