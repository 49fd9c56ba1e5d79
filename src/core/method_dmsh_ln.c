/*
 * core/method_dmsh_ln.c: DMsH-LN, supervised training with a label-guided
 * network.
 *
 * "Deep multi-similarity hashing via label-guided network for cross-modal
 * retrieval", Neurocomputing 616 (2025) 128830, doi
 * 10.1016/j.neucom.2024.128830; its loss is from "Multi-Similarity Loss with
 * General Pair Weighting for Deep Metric Learning", CVPR 2019.
 *
 * A batch has m pairs with features X_I [m × d_I], X_T [m × d_T] and labels
 * Y [m × C], 0 or 1; a code has K bits.
 *
 * Forward: three networks give H_I, H_T, H_Y [m × K] from X_I, X_T and Y.
 * Dropout D [m × K] is 0 with probability p, else 1/(1 − p), and
 *
 *     B_I = tanh(D_I·H_I),  B_T = tanh(D_T·H_T),  B_Y = tanh(a·H_Y),
 *
 * a = √(epoch + 1).  U is B with its rows at length 1; a row without a length
 * has the unit vector 0.  The loss is, each term with its weight,
 *
 *     L = MS(I,I) + MS(T,T) + MS(Y,Y) + MS(I,T) + MS(I,Y) + MS(T,Y),
 *
 * and `symmetric` adds MS(T,I), MS(Y,I), MS(Y,T).
 *
 * MS(A,B) is the multi-similarity loss (core/multisimilarity.c) on the cosines
 * s [m × m] = U_A·U_Bᵀ.  Row i is one anchor with its positives P (rows that
 * share a class with it; for A = B without itself) and negatives N (the
 * others).  Mining keeps a negative with s > min(P) − margin and a positive
 * with s < max(N) + margin; min and max are constants to the gradient.  Of the
 * kept ones, with q = scale_positive, n = scale_negative and t = threshold,
 *
 *     MS = 1/m·Σ_i [ 1/q·log(1 + Σ_P exp(−q(s − t))) + 1/n·log(1 + Σ_N exp(n(s − t))) ].
 *
 * Backward, with e the exponential of a kept pair, G [m × m] = dMS/ds:
 *
 *     G = −1/m·e/(1 + Σ_P e) for a positive,  1/m·e/(1 + Σ_N e) for a negative,
 *     dU_A += G·U_B [m × K],                  dU_B += Gᵀ·U_A,
 *     dB = (dU − U·diag(U·dUᵀ))/‖B‖,          dH = D·(1 − B²)·dB, for Y a·(1 − B²)·dB,
 *     dW = Xᵀ·dH [d × K],                     db = Σ dH over the rows.
 *
 * Then core/adam.c steps each network, its gradient's norm clipped, at its
 * rate times g(f), f = (step + 1)/steps of the whole training: f/warmup up to
 * f = warmup, then ½·(1 + cos πf).
 *
 * By default the image and text networks have a hidden layer, which the
 * paper's have not: it is worth more than any part of the paper
 * (test/bench/README.md).  0 units are the paper's.
 *
 * What is similar is told by the true labels, never by the label network's
 * output: that gives no gradient and, as soon as its codes agree, no negatives.
 * The label network's part of the loss is a reconstruction from the paper's
 * abstract and public code.
 */
#include "core/method_dmsh_ln.h"

#include <math.h>
#include <string.h>

/* Random numbers drawn at a time. */
#define DRAWN_NUMBERS 1024

/*
 * Inverted dropout of values [count]: 0 with the given probability, else
 * 1/(1 − p) times itself.  What is dropped is a function of the key alone, so
 * backward draws it again instead of keeping it.
 */
static void
dmsh_ln_drop(const CoreEnv *env, float *values, size_t count, double probability, RandomKey key)
{
	float		factor = 1 / (1 - probability);
	float		bound = probability;
	float		drawn[DRAWN_NUMBERS];
	size_t		start;
	int			i;

	if (probability <= 0)
		return;
	for (start = 0; start < count; start += DRAWN_NUMBERS)
	{
		int			length = count - start < DRAWN_NUMBERS ? count - start : DRAWN_NUMBERS;

		random_fill(key, start, drawn, length);
		for (i = 0; i < length; i++)
			values[start + i] *= drawn[i] < bound ? 0 : factor;
		if (start % INTERRUPT_CHECK_FLOATS == 0)
			env->interrupt();
	}
}

/* s [m × m] = U_A [m × K] · U_Bᵀ, MS of it, and both gradients. */
static double
dmsh_ln_pair_term(Trainer *trainer, Learner *a, Learner *b, int rows, double weight)
{
	const CoreEnv *env = &trainer->env;
	DmshLnState *state = dmsh_ln_state(trainer);
	int			bits = a->network.outputs;
	int			diagonal = a == b ? PAIR_SELF : PAIR_POSITIVE;
	double		loss;
	int			i;

	if (weight == 0)
		return 0;
	for (i = 0; i < rows; i++)
		state->kind[(size_t) i * rows + i] = diagonal;
	blas_product(env, false, true, rows, rows, bits, 1, a->unit, bits, b->unit, bits,
				 0, trainer->cosine, rows);
	loss = multisimilarity(env, dmsh_ln_options(&trainer->options), trainer->cosine, state->kind, rows,
						   weight, state->pair_weight);
	/* for A = B these are both halves of its gradient */
	blas_product(env, false, false, rows, bits, rows, 1, trainer->cosine, rows,
				 b->unit, bits, 1, a->gradient_unit, bits);
	blas_product(env, true, false, rows, bits, rows, 1, trainer->cosine, rows,
				 a->unit, bits, 1, b->gradient_unit, bits);
	return loss;
}

/* A term between two networks, with its transpose if that is asked for. */
static double
dmsh_ln_cross_term(Trainer *trainer, Learner *a, Learner *b, int rows, double weight)
{
	double		loss = dmsh_ln_pair_term(trainer, a, b, rows, weight);

	if (dmsh_ln_options(&trainer->options)->symmetric)
		loss += dmsh_ln_pair_term(trainer, b, a, rows, weight);
	return loss;
}

/*
 * Loss of the batch whose H the three learners hold, and dL/dH in their
 * gradient_unit (of H after dropout).  False: a code was not finite.
 */
static bool
dmsh_ln_loss(Trainer *trainer, int rows, float a, double terms[TRAIN_MAX_TERMS])
{
	const DmshLnOptions *options = dmsh_ln_options(&trainer->options);
	Learner    *image = &trainer->image;
	Learner    *text = &trainer->text;
	Learner    *label = &trainer->label;
	size_t		bytes = (size_t) rows * trainer->options.bits * sizeof(float);

	if (!learner_activate(image, rows, 1) || !learner_activate(text, rows, 1) ||
		!learner_activate(label, rows, a))
		return false;
	memset(image->gradient_unit, 0, bytes);
	memset(text->gradient_unit, 0, bytes);
	memset(label->gradient_unit, 0, bytes);
	terms[0] = dmsh_ln_pair_term(trainer, image, image, rows, options->weight_ii);
	terms[1] = dmsh_ln_pair_term(trainer, text, text, rows, options->weight_tt);
	terms[2] = dmsh_ln_pair_term(trainer, label, label, rows, options->weight_yy);
	terms[3] = dmsh_ln_cross_term(trainer, image, text, rows, options->weight_it);
	terms[4] = dmsh_ln_cross_term(trainer, image, label, rows, options->weight_iy);
	terms[5] = dmsh_ln_cross_term(trainer, text, label, rows, options->weight_ty);
	learner_deactivate(image, rows, 1);
	learner_deactivate(text, rows, 1);
	learner_deactivate(label, rows, a);
	return true;
}

/* Linear warm-up, then half a cosine. */
double
dmsh_ln_schedule(const Trainer *trainer, int epoch, int step)
{
	double		warmup = dmsh_ln_options(&trainer->options)->warmup;
	double		total = (double) trainer->options.epochs * trainer->steps;
	double		f = ((double) epoch * trainer->steps + step + 1) / total;

	if (f <= warmup)
		return f / warmup;
	return 0.5 * (1 + cos(3.14159265358979323846 * f));
}

static void
dmsh_ln_optimize(Trainer *trainer, Learner *learner, const Features *features, double rate,
				 const TrainBatch *batch)
{
	const DmshLnOptions *options = dmsh_ln_options(&trainer->options);
	double		t = (double) batch->epoch * trainer->steps + batch->step + 1;
	AdamStep	adam = {0};

	rate *= dmsh_ln_schedule(trainer, batch->epoch, batch->step);
	adam.beta1 = options->adam_beta1;
	adam.beta2 = options->adam_beta2;
	adam.step_size = rate / (1 - pow(options->adam_beta1, t));
	adam.second_correction = 1 / sqrt(1 - pow(options->adam_beta2, t));
	adam.epsilon = options->adam_epsilon;
	adam.decay = rate * trainer->options.weight_decay;
	adam_backward(learner, features);
	adam_step(learner, &adam, options->clip_norm);
}

/* The labels as features [m × C] of the label network. */
static Features
dmsh_ln_label_features(Trainer *trainer, const uint8_t *labels, int rows)
{
	float	   *values = dmsh_ln_state(trainer)->label_features;
	Features	features = {0};
	size_t		count = (size_t) rows * trainer->source.classes;
	size_t		i;

	for (i = 0; i < count; i++)
		values[i] = labels[i] != 0;
	features.rows = rows;
	features.columns = trainer->source.classes;
	features.dense = values;
	return features;
}

static bool
dmsh_ln_step(Trainer *trainer, const TrainBatch *batch, double terms[TRAIN_MAX_TERMS])
{
	const TrainOptions *options = &trainer->options;
	const DmshLnOptions *own = dmsh_ln_options(options);
	DmshLnState *state = dmsh_ln_state(trainer);
	int			rows = batch->image.rows;
	size_t		outputs = (size_t) rows * options->bits;
	RandomKey	image_key = random_key(options->seed, batch->epoch, batch->step, RANDOM_DROPOUT_IMAGE);
	RandomKey	text_key = random_key(options->seed, batch->epoch, batch->step, RANDOM_DROPOUT_TEXT);
	Features	label = dmsh_ln_label_features(trainer, batch->labels, rows);
	double		loss = 0;
	int			i;

	multisimilarity_kinds(&trainer->env, batch->labels, rows, trainer->source.classes, state->label_bits, state->kind);
	learner_forward(&trainer->image, &batch->image);
	learner_forward(&trainer->text, &batch->text);
	learner_forward(&trainer->label, &label);
	dmsh_ln_drop(&trainer->env, trainer->image.output, outputs, own->dropout, image_key);
	dmsh_ln_drop(&trainer->env, trainer->text.output, outputs, own->dropout, text_key);
	if (!dmsh_ln_loss(trainer, rows, sqrtf(batch->epoch + 1), terms))
		return false;
	dmsh_ln_drop(&trainer->env, trainer->image.gradient_unit, outputs, own->dropout, image_key);
	dmsh_ln_drop(&trainer->env, trainer->text.gradient_unit, outputs, own->dropout, text_key);

	for (i = 0; i < TRAIN_MAX_TERMS; i++)
		loss += terms[i];
	if (!isfinite(loss))
		return false;
	dmsh_ln_optimize(trainer, &trainer->image, &batch->image, options->learning_rate_image, batch);
	dmsh_ln_optimize(trainer, &trainer->text, &batch->text, options->learning_rate_text, batch);
	dmsh_ln_optimize(trainer, &trainer->label, &label, own->learning_rate_label, batch);
	return true;
}

/* The label network's hidden units: halfway from the classes to the code. */
static void
dmsh_ln_resolve(TrainOptions *options, const BatchSource *source)
{
	DmshLnOptions *own = dmsh_ln_options(options);

	if (own->label_hidden == 0)
		own->label_hidden = (source->classes + options->bits) / 2;
}

static void
dmsh_ln_reserve(Trainer *trainer, ArenaPlan *plan)
{
	DmshLnState *state = dmsh_ln_state(trainer);
	int			m = trainer->options.batch_size;
	int			classes = trainer->source.classes;

	descent_reserve(trainer, plan, OPTIMIZER_ADAM);
	learner_reserve(&trainer->label, plan, OPTIMIZER_ADAM, classes, dmsh_ln_options(&trainer->options)->label_hidden,
					trainer->options.bits, false, m);
	state->kind = arena_reserve(plan, (size_t) m * m, sizeof(uint8_t));
	state->label_bits = arena_reserve(plan, (size_t) m * ((classes + 63) / 64), sizeof(uint64_t));
	state->label_features = arena_reserve(plan, (size_t) m * classes, sizeof(float));
	state->pair_weight = arena_reserve(plan, m, sizeof(float));
}

/* Initial weights: Kaiming's uniform, ±√(6/fan), biases 0. */
static void
dmsh_ln_prepare(Trainer *trainer)
{
	int64_t		seed = trainer->options.seed;
	TrainInit	init = dmsh_ln_options(&trainer->options)->init;

	learner_initialise(&trainer->image, seed, RANDOM_WEIGHTS_IMAGE, init, 6, false);
	learner_initialise(&trainer->text, seed, RANDOM_WEIGHTS_TEXT, init, 6, false);
	learner_initialise(&trainer->label, seed, RANDOM_WEIGHTS_LABEL, init, 6, false);
}

#define OWN(field, type, min, max, initial, meaning) \
	{#field, type, OWN_OFFSET(DmshLnOptions, field), min, max, initial, NULL, false, meaning}

static const char *const dmsh_ln_init_words[] = {"fan_in", "fan_out", NULL};

static const OptionSpec dmsh_ln_option_table[] = {
	DESCENT_OPTIONS(100, 128, 1e-3, 0.2, 512),
	DATA_OPTIONS,
	OWN(learning_rate_label, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1e-2, "of the label network"),
	{"label_hidden", OPTION_INTEGER, OWN_OFFSET(DmshLnOptions, label_hidden), 0, NETWORK_MAX_HIDDEN, 0, NULL, true,
	"hidden units of the label network; 0: half of classes and bits together"},
	OWN(dropout, OPTION_NUMBER, 0, 0.99, 0.2, "share of the outputs set to 0 in a step"),
	OWN(warmup, OPTION_NUMBER, 0, 1, 0.1, "share of the training in which the learning rates rise"),
	OWN(clip_norm, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "largest norm of a network's gradient; 0: any"),
	OWN(adam_beta1, OPTION_NUMBER, 0, 0.999999, 0.9, "decay of the first moment"),
	OWN(adam_beta2, OPTION_NUMBER, 0, 0.999999, 0.98, "decay of the second moment"),
	OWN(adam_epsilon, OPTION_NUMBER, 1e-30, 1, 1e-6, "added to the second moment's root"),
	{"init", OPTION_WORD, OWN_OFFSET(DmshLnOptions, init), 0, 1, TRAIN_INIT_FAN_IN, dmsh_ln_init_words, false,
	"which width of a layer bounds its initial weights"},
	OWN(scale_positive, OPTION_NUMBER, 1e-6, 1e6, 2, "steepness of the loss of similar pairs"),
	OWN(scale_negative, OPTION_NUMBER, 1e-6, 1e6, 40, "steepness of the loss of dissimilar pairs"),
	OWN(threshold, OPTION_NUMBER, -1, 1, 0.5, "cosine from which a pair counts as similar"),
	OWN(margin, OPTION_NUMBER, 0, 2, 0.1, "of the mining of pairs"),
	OWN(weight_ii, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "of the loss of images to images"),
	OWN(weight_tt, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "of texts to texts"),
	OWN(weight_yy, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "of labels to labels"),
	OWN(weight_it, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "of images to texts"),
	OWN(weight_iy, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "of images to labels"),
	OWN(weight_ty, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1, "of texts to labels"),
	OWN(symmetric, OPTION_BOOLEAN, 0, 1, 0, "add the losses of texts to images and so on"),
	{NULL}
};

static const char *const dmsh_ln_loss_terms[] = {"ii", "tt", "yy", "it", "iy", "ty", NULL};

_Static_assert(sizeof(DmshLnOptions) <= TRAIN_OWN_OPTIONS && sizeof(DmshLnState) <= TRAIN_OWN_STATE, "they fit into what a method has for itself");

const TrainMethod method_dmsh_ln = {
	.name = "dmsh_ln",
	.options = dmsh_ln_option_table,
	.loss_terms = dmsh_ln_loss_terms,
	.needs_labels = true,
	.not_finite_hint = DESCENT_NOT_FINITE_HINT,
	.resolve = dmsh_ln_resolve,
	.hidden_layers = descent_hidden_layers,
	.reserve = dmsh_ln_reserve,
	.prepare = dmsh_ln_prepare,
	.epoch = descent_epoch,
	.state = descent_state,
	.step = dmsh_ln_step,
	.schedule = dmsh_ln_schedule,
};
