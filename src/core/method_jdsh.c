/*
 * core/method_jdsh.c: JDSH, unsupervised training towards the similarity that
 * the features of both sides have together.
 *
 * "Joint-modal Distribution-based Similarity Hashing for Large-scale
 * Unsupervised Deep Cross-modal Retrieval", SIGIR 2020, doi
 * 10.1145/3397271.3401086.
 *
 * A batch has m pairs with features X_I [m × d_I] and X_T [m × d_T]; a code has
 * K bits.  cos(A, B) [m × m] are the cosines between the rows of A and of B,
 * N(·) scales rows to length 1; a row without a length has the unit vector 0.
 *
 * Similarity (core/similarity.c), all [m × m]:
 *
 *     S_I = 2·cos(X_I, X_I) − 1,  S_T likewise,  S_high = N(S_I)·N(S_T)ᵀ,
 *     S = α·S_I + β·S_T + λ·(S_high + S_highᵀ)/2,  α + β + λ = 1.
 *
 * DSDW (core/dsdw.c) takes the off-diagonal values of S in the whole training
 * set for a half-Gaussian on the left of their mode M and a half-Laplace on its
 * right.  It is fitted once: MIN and MAX are the extremes, M is the left edge
 * of the fullest of 200 equal bins, and
 *
 *     σ = √mean((M − s)² over s < M),  b = mean(s − M over s > M),
 *     low = M − low_factor·σ,          high = M + high_factor·b.
 *
 * In every batch it drives the values s in the tails further out:
 *
 *     s < low and s < 0:   s ← s·(1 + L1·exp(MIN − s)),
 *     s > high and s > 0:  s ← s·(1 + L2·exp(s − MAX)),   then S ← μ·S.
 *
 * Forward: H_I, H_T [m × K] are the networks' outputs, B = tanh(a·H) with
 * a = √(epoch + 1), U = N(B), C_IT = U_I·U_Tᵀ, C_II = U_I·U_Iᵀ, and
 *
 *     L = mse(C_IT, S) + mse(C_ITᵀ, S) − mean(diag C_IT)
 *         + η·mse(C_II, S) + η·mse(C_TT, S).
 *
 * S is symmetric, so the first two terms are the same number.  Backward:
 *
 *     dC_IT = 4/m²·(C_IT − S) − 1/m·1 [m × m],  dC_II = 2η/m²·(C_II − S),
 *     dU_I = dC_IT·U_T + 2·dC_II·U_I [m × K],   dU_T = dC_ITᵀ·U_I + 2·dC_TT·U_T,
 *     dB = (dU − U·diag(U·dUᵀ))/‖B‖,            dH = a·(1 − B²)·dB   (by rows),
 *     dW = Xᵀ·dH [d × K],                       db = Σ dH over the rows,
 *
 * the last line within core/sgd.c, which moves W and b in the same pass.
 *
 * What departs from the public code: DSDW is fitted to the very S that is
 * trained with, the diagonal (always 1) takes no part in the fit, and a value
 * must have the sign of its tail to be driven out: with a low above 0 it would
 * be driven inwards.
 */
#include "core/method_jdsh.h"

#include <math.h>
#include <stdio.h>

/* cosine becomes its own gradient: c ← factor·(c − s).  Returns Σ(c − s)². */
static double
jdsh_square_error(const CoreEnv *env, float *cosine, const float *target, size_t count, float factor)
{
	double		sum = 0;
	size_t		i;

	for (i = 0; i < count; i++)
	{
		float		difference = cosine[i] - target[i];

		sum += (double) difference * difference;
		cosine[i] = factor * difference;
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
	return sum;
}

/* C [m × m] = A [m × K] · Bᵀ */
static void
jdsh_cosines(Trainer *trainer, const Learner *a, const Learner *b, int rows)
{
	int			bits = a->network.outputs;

	blas_product(&trainer->env, false, true, rows, rows, bits, 1, a->unit, bits,
				 b->unit, bits, 0, trainer->cosine, rows);
}

/* to's gradient [m × K] = beta·itself + op(G) [m × m] · from's unit rows. */
static void
jdsh_add_gradient(Trainer *trainer, bool transpose, Learner *to, const Learner *from, int rows, float beta)
{
	int			bits = to->network.outputs;

	blas_product(&trainer->env, transpose, false, rows, bits, rows, 1, trainer->cosine, rows,
				 from->unit, bits, beta, to->gradient_unit, bits);
}

/* Term cos(B,B) of one modality: η·mse, and 2·dC·U added to its gradient. */
static double
jdsh_within(Trainer *trainer, Learner *learner, int rows)
{
	double		eta = jdsh_options(&trainer->options)->eta;
	double		pairs = (double) rows * rows;
	double		sum;

	jdsh_cosines(trainer, learner, learner, rows);
	sum = jdsh_square_error(&trainer->env, trainer->cosine, jdsh_state(trainer)->similarity.joint,
							(size_t) rows * rows, 4 * eta / pairs);
	jdsh_add_gradient(trainer, false, learner, learner, rows, 1);
	return eta * sum / pairs;
}

/* Both cross terms and the diagonal; sets the gradients. */
static void
jdsh_across(Trainer *trainer, int rows, double *cross, double *pair)
{
	double		pairs = (double) rows * rows;
	double		diagonal = 0;
	double		sum;
	int			i;

	jdsh_cosines(trainer, &trainer->image, &trainer->text, rows);
	for (i = 0; i < rows; i++)
		diagonal += trainer->cosine[(size_t) i * rows + i];
	sum = jdsh_square_error(&trainer->env, trainer->cosine, jdsh_state(trainer)->similarity.joint,
							(size_t) rows * rows, 4 / pairs);
	for (i = 0; i < rows; i++)
		trainer->cosine[(size_t) i * rows + i] -= 1.0f / rows;
	jdsh_add_gradient(trainer, false, &trainer->image, &trainer->text, rows, 0);
	jdsh_add_gradient(trainer, true, &trainer->text, &trainer->image, rows, 0);
	*cross = 2 * sum / pairs;
	*pair = -diagonal / rows;
}

/*
 * Loss of the batch whose H both learners hold, and dL/dH in their
 * gradient_unit.
 */
static double
jdsh_loss(Trainer *trainer, int rows, float a, double terms[TRAIN_MAX_TERMS])
{
	learner_activate(&trainer->image, rows, a);
	learner_activate(&trainer->text, rows, a);
	jdsh_across(trainer, rows, &terms[0], &terms[1]);
	terms[2] = jdsh_within(trainer, &trainer->image, rows);
	terms[3] = jdsh_within(trainer, &trainer->text, rows);
	learner_deactivate(&trainer->image, rows, a);
	learner_deactivate(&trainer->text, rows, a);
	return terms[0] + terms[1] + terms[2] + terms[3];
}

static SgdStep
jdsh_sgd(const TrainOptions *options, double rate)
{
	SgdStep		sgd = {rate, jdsh_options(options)->momentum, options->weight_decay};

	return sgd;
}

static bool
jdsh_step(Trainer *trainer, const TrainBatch *batch, double terms[TRAIN_MAX_TERMS])
{
	const TrainOptions *options = &trainer->options;
	JdshState  *state = jdsh_state(trainer);
	SgdStep		sgd_image = jdsh_sgd(options, options->learning_rate_image);
	SgdStep		sgd_text = jdsh_sgd(options, options->learning_rate_text);
	int			rows = batch->image.rows;

	similarity_compute(&state->similarity, &trainer->env, jdsh_options(options), &batch->image, &batch->text);
	dsdw_weight(&state->similarity, &trainer->env, jdsh_options(options), &state->fit, rows);
	sgd_forward(&trainer->image, &batch->image, batch->step);
	sgd_forward(&trainer->text, &batch->text, batch->step);
	if (!isfinite(jdsh_loss(trainer, rows, sqrtf(batch->epoch + 1), terms)))
		return false;
	sgd_step(&trainer->image, &batch->image, &sgd_image, batch->step);
	sgd_step(&trainer->text, &batch->text, &sgd_text, batch->step);
	return true;
}

static bool
jdsh_check(const TrainOptions *options, char *message, size_t size)
{
	const JdshOptions *own = jdsh_options(options);
	double		sum = own->alpha + own->beta + own->lambda;

	snprintf(message, size, "options \"alpha\", \"beta\" and \"lambda\" add up to %g, expected 1", sum);
	return fabs(sum - 1) <= 1e-6;
}

static void
jdsh_reserve(Trainer *trainer, ArenaPlan *plan)
{
	descent_reserve(trainer, plan, OPTIMIZER_SGD);
	similarity_reserve(&jdsh_state(trainer)->similarity, plan, &trainer->source, trainer->options.batch_size);
}

/* Initial weights: weights and biases uniform in ±1/√inputs. */
static void
jdsh_prepare(Trainer *trainer)
{
	const TrainOptions *options = &trainer->options;
	SgdStep		image = jdsh_sgd(options, options->learning_rate_image);
	SgdStep		text = jdsh_sgd(options, options->learning_rate_text);

	learner_initialise(&trainer->image, options->seed, RANDOM_WEIGHTS_IMAGE, TRAIN_INIT_FAN_IN, 1, true);
	learner_initialise(&trainer->text, options->seed, RANDOM_WEIGHTS_TEXT, TRAIN_INIT_FAN_IN, 1, true);
	sgd_prepare(&trainer->image, &image, trainer->steps);
	sgd_prepare(&trainer->text, &text, trainer->steps);
}

/* The fit's doubles go as pairs of floats, bit by bit. */
static int
jdsh_list_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES])
{
	DsdwFit    *fit = &jdsh_state(trainer)->fit;
	int			count = descent_state(trainer, states);

	states[count++] = (TrainerState) {"dsdw", (float *) fit, sizeof(*fit) / sizeof(float), true};
	return count;
}

#define OWN(field, type, min, max, initial, meaning) \
	{#field, type, OWN_OFFSET(JdshOptions, field), min, max, initial, NULL, false, meaning}

static const OptionSpec jdsh_option_table[] = {
	DESCENT_OPTIONS(30, 32, 0.01, 5e-4, 0),
	DATA_OPTIONS,
	OWN(momentum, OPTION_NUMBER, 0, 0.9999, 0.9, "of stochastic gradient descent"),
	OWN(alpha, OPTION_NUMBER, 0, 1, 0.4, "share of the images' similarity"),
	OWN(beta, OPTION_NUMBER, 0, 1, 0.3, "share of the texts' similarity"),
	OWN(lambda, OPTION_NUMBER, 0, 1, 0.3, "share of the similarity of second order"),
	OWN(eta, OPTION_NUMBER, 0, OPTION_UNLIMITED, 0.1, "weight of the losses within a side"),
	OWN(mu, OPTION_NUMBER, 0, OPTION_UNLIMITED, 1.4, "factor of all targets"),
	OWN(l1, OPTION_NUMBER, 0, OPTION_UNLIMITED, 0.1, "how far dissimilar pairs are driven out"),
	OWN(l2, OPTION_NUMBER, 0, OPTION_UNLIMITED, 0.2, "how far similar pairs are driven out"),
	OWN(low_factor, OPTION_NUMBER, 0, OPTION_UNLIMITED, 2, "deviations below the mode where dissimilar begins"),
	OWN(high_factor, OPTION_NUMBER, 0, OPTION_UNLIMITED, 4, "mean distances above the mode where similar begins"),
	OWN(clip_targets, OPTION_BOOLEAN, 0, 1, 0, "cut targets to -1 ... 1"),
	{NULL}
};

static const char *const jdsh_loss_terms[] = {"cross", "pair", "image", "text", NULL};

_Static_assert(sizeof(JdshOptions) <= TRAIN_OWN_OPTIONS && sizeof(JdshState) <= TRAIN_OWN_STATE, "they fit into what a method has for itself");

const TrainMethod method_jdsh = {
	.name = "jdsh",
	.options = jdsh_option_table,
	.loss_terms = jdsh_loss_terms,
	.not_finite_hint = DESCENT_NOT_FINITE_HINT,
	.check = jdsh_check,
	.hidden_layers = descent_hidden_layers,
	.reserve = jdsh_reserve,
	.prepare = jdsh_prepare,
	.fit = dsdw_fit,
	.epoch = descent_epoch,
	.state = jdsh_list_state,
	.step = jdsh_step,
};
