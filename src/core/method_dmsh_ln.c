/*
 * core/method_dmsh_ln.c: supervised training with a label-guided network.
 *
 * DMsH-LN: "Deep multi-similarity hashing via label-guided network for
 * cross-modal retrieval", Neurocomputing 616 (2025) 128830, doi
 * 10.1016/j.neucom.2024.128830.
 *
 * Three networks give codes B [m × K]: of the images and of the texts tanh of
 * the output, with dropout on the output; of the multi-hot labels tanh(a·H),
 * a = √(epoch + 1), which guides the other two.  The loss is the sum of the
 * multi-similarity losses (core/multisimilarity.c) within and between them,
 *
 *     L = MS(I,I) + MS(T,T) + MS(Y,Y) + MS(I,T) + MS(I,Y) + MS(T,Y),
 *
 * each on cosines and with its weight.  What is similar is told by the true
 * labels, never by the label network's output: that gives no gradient and, as
 * soon as its codes agree, no negatives.  The label network's part of the loss
 * is a reconstruction from the paper's abstract and public code.
 */
#include "core/trainer.h"

#include <math.h>
#include <string.h>

/* Hidden units of the label network: as asked for, else halfway to the code. */
int
train_label_hidden(const TrainOptions *options, int classes)
{
	return options->label_hidden > 0 ? options->label_hidden : (classes + options->bits) / 2;
}

void
dmsh_ln_reserve(Trainer *trainer, ArenaPlan *plan)
{
	const TrainOptions *options = &trainer->options;
	int			m = options->batch_size;
	int			classes = trainer->source.classes;
	int			hidden = train_label_hidden(options, classes);

	learner_reserve(&trainer->label, plan, OPTIMIZER_ADAM, classes, hidden, options->bits, false,
				  m, trainer->steps);
	trainer->kind = arena_reserve(plan, (size_t) m * m, sizeof(uint8_t));
	trainer->label_bits = arena_reserve(plan, (size_t) m * ((classes + 63) / 64), sizeof(uint64_t));
	trainer->label_features = arena_reserve(plan, (size_t) m * classes, sizeof(float));
	trainer->pair_weight = arena_reserve(plan, m, sizeof(float));
}

/* Initial weights: Kaiming's uniform, ±√(6/fan), biases 0. */
void
dmsh_ln_prepare(Trainer *trainer)
{
	const TrainOptions *options = &trainer->options;

	learner_initialise(&trainer->image, options->seed, RANDOM_WEIGHTS_IMAGE, options->init, 6, false);
	learner_initialise(&trainer->text, options->seed, RANDOM_WEIGHTS_TEXT, options->init, 6, false);
	learner_initialise(&trainer->label, options->seed, RANDOM_WEIGHTS_LABEL, options->init, 6, false);
}

/* Learning rates' common factor: linear warm-up, then half a cosine. */
double
dmsh_ln_schedule(const Trainer *trainer, int epoch, int step)
{
	double		total = (double) trainer->options.epochs * trainer->steps;
	double		f = ((double) epoch * trainer->steps + step + 1) / total;

	if (f <= trainer->options.warmup)
		return f / trainer->options.warmup;
	return 0.5 * (1 + cos(3.14159265358979323846 * f));
}

/* Random numbers drawn at a time. */
#define DRAWN 1024

/*
 * Inverted dropout of values [count]: 0 with the given probability, else
 * 1/(1 − p) times itself.  What is dropped is a function of the key alone, so
 * backward draws it again instead of keeping it.
 */
static void
drop(const CoreEnv *env, float *values, size_t count, double probability, RandomKey key)
{
	float		factor = 1 / (1 - probability);
	float		bound = probability;
	float		drawn[DRAWN];
	size_t		start;
	int			i;

	if (probability <= 0)
		return;
	for (start = 0; start < count; start += DRAWN)
	{
		int			length = count - start < DRAWN ? count - start : DRAWN;

		random_fill(key, start, drawn, length);
		for (i = 0; i < length; i++)
			values[start + i] *= drawn[i] < bound ? 0 : factor;
		if (start % INTERRUPT_CHECK_FLOATS == 0)
			env->interrupt();
	}
}

/* C [m × m] = A [m × K] · Bᵀ, MS of it, and both gradients. */
static double
pair_term(Trainer *trainer, Learner *a, Learner *b, int rows, double weight)
{
	const CoreEnv *env = &trainer->env;
	int			bits = a->network.outputs;
	int			diagonal = a == b ? PAIR_SELF : PAIR_POSITIVE;
	double		loss;
	int			i;

	if (weight == 0)
		return 0;
	for (i = 0; i < rows; i++)
		trainer->kind[(size_t) i * rows + i] = diagonal;
	blas_product(env, false, true, rows, rows, bits, 1, a->unit, bits, b->unit, bits,
				 0, trainer->cosine, rows);
	loss = multisimilarity(env, &trainer->options, trainer->cosine, trainer->kind, rows,
						   weight, trainer->pair_weight);
	/* dA += G·B, dB += Gᵀ·A; for A = B that is both halves of its gradient */
	blas_product(env, false, false, rows, bits, rows, 1, trainer->cosine, rows,
				 b->unit, bits, 1, a->gradient_unit, bits);
	blas_product(env, true, false, rows, bits, rows, 1, trainer->cosine, rows,
				 a->unit, bits, 1, b->gradient_unit, bits);
	return loss;
}

/* A term between two networks, with its transpose if that is asked for. */
static double
cross_term(Trainer *trainer, Learner *a, Learner *b, int rows, double weight)
{
	double		loss = pair_term(trainer, a, b, rows, weight);

	if (trainer->options.symmetric)
		loss += pair_term(trainer, b, a, rows, weight);
	return loss;
}

/*
 * Loss of the batch whose H the three learners hold, and dL/dH in their
 * gradient_unit (of H after dropout).  False: a code was not finite.
 */
bool
dmsh_ln_loss(Trainer *trainer, int rows, float a, double terms[TRAIN_MAX_TERMS])
{
	const TrainOptions *options = &trainer->options;
	Learner    *image = &trainer->image;
	Learner    *text = &trainer->text;
	Learner    *label = &trainer->label;
	size_t		bytes = (size_t) rows * options->bits * sizeof(float);

	if (!learner_activate(image, rows, 1) || !learner_activate(text, rows, 1) ||
		!learner_activate(label, rows, a))
		return false;
	memset(image->gradient_unit, 0, bytes);
	memset(text->gradient_unit, 0, bytes);
	memset(label->gradient_unit, 0, bytes);
	terms[0] = pair_term(trainer, image, image, rows, options->weight_ii);
	terms[1] = pair_term(trainer, text, text, rows, options->weight_tt);
	terms[2] = pair_term(trainer, label, label, rows, options->weight_yy);
	terms[3] = cross_term(trainer, image, text, rows, options->weight_it);
	terms[4] = cross_term(trainer, image, label, rows, options->weight_iy);
	terms[5] = cross_term(trainer, text, label, rows, options->weight_ty);
	learner_deactivate(image, rows, 1);
	learner_deactivate(text, rows, 1);
	learner_deactivate(label, rows, a);
	return true;
}

static void
optimize(Trainer *trainer, Learner *learner, const Features *features, double rate, int epoch, int step)
{
	const TrainOptions *options = &trainer->options;
	double		t = (double) epoch * trainer->steps + step + 1;
	AdamStep	adam = {0};

	rate *= dmsh_ln_schedule(trainer, epoch, step);
	adam.beta1 = options->adam_beta1;
	adam.beta2 = options->adam_beta2;
	adam.step_size = rate / (1 - pow(options->adam_beta1, t));
	adam.second_correction = 1 / sqrt(1 - pow(options->adam_beta2, t));
	adam.epsilon = options->adam_epsilon;
	adam.decay = rate * options->weight_decay;
	adam_backward(learner, features);
	adam_step(learner, &adam, options->clip_norm);
}

/* The labels as features of the label network. */
static Features
label_features(Trainer *trainer, const uint8_t *labels, int rows)
{
	Features	features = {0};
	size_t		count = (size_t) rows * trainer->source.classes;
	size_t		i;

	for (i = 0; i < count; i++)
		trainer->label_features[i] = labels[i] != 0;
	features.rows = rows;
	features.columns = trainer->source.classes;
	features.dense = trainer->label_features;
	return features;
}

bool
dmsh_ln_step(Trainer *trainer, const Features *image, const Features *text,
			 const uint8_t *labels, int epoch, int step, double terms[TRAIN_MAX_TERMS])
{
	const TrainOptions *options = &trainer->options;
	int			rows = image->rows;
	size_t		outputs = (size_t) rows * options->bits;
	RandomKey	image_key = random_key(options->seed, epoch, step, RANDOM_DROPOUT_IMAGE);
	RandomKey	text_key = random_key(options->seed, epoch, step, RANDOM_DROPOUT_TEXT);
	Features	label = label_features(trainer, labels, rows);
	double		loss = 0;
	int			i;

	multisimilarity_kinds(&trainer->env, labels, rows, trainer->source.classes, trainer->label_bits, trainer->kind);
	learner_forward(&trainer->image, image);
	learner_forward(&trainer->text, text);
	learner_forward(&trainer->label, &label);
	drop(&trainer->env, trainer->image.output, outputs, options->dropout, image_key);
	drop(&trainer->env, trainer->text.output, outputs, options->dropout, text_key);
	if (!dmsh_ln_loss(trainer, rows, sqrtf(epoch + 1), terms))
		return false;
	drop(&trainer->env, trainer->image.gradient_unit, outputs, options->dropout, image_key);
	drop(&trainer->env, trainer->text.gradient_unit, outputs, options->dropout, text_key);

	for (i = 0; i < TRAIN_MAX_TERMS; i++)
		loss += terms[i];
	if (!isfinite(loss))
		return false;
	optimize(trainer, &trainer->image, image, options->learning_rate_image, epoch, step);
	optimize(trainer, &trainer->text, text, options->learning_rate_text, epoch, step);
	optimize(trainer, &trainer->label, &label, options->learning_rate_label, epoch, step);
	return true;
}
