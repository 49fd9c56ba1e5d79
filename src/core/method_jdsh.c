/*
 * core/method_jdsh.c: the loss of JDSH and its gradient.
 *
 * JDSH: "Joint-modal Distribution-based Similarity Hashing for Large-scale
 * Unsupervised Deep Cross-modal Retrieval", SIGIR 2020, doi
 * 10.1145/3397271.3401086.
 *
 * The codes B_I, B_T [m × K] = tanh(a·H), a = √(epoch + 1), shall have the
 * cosines that the features' joint similarity S (core/similarity.c) asks for:
 *
 *     L = mse(cos(B_I,B_T), S) + mse(cos(B_T,B_I), S) − mean(diag cos(B_I,B_T))
 *         + η·mse(cos(B_I,B_I), S) + η·mse(cos(B_T,B_T), S).
 *
 * S is symmetric and cos(B_T,B_I) = cos(B_I,B_T)ᵀ, so the first two terms are
 * the same number.  With U the rows of B at unit length, C_IT = U_I·U_Tᵀ and
 *
 *     dL/dC_IT = 4/m²·(C_IT − S) − 1/m·1,   dL/dC_II = 2η/m²·(C_II − S),
 *     dL/dU_I = dC_IT·U_T + 2·dC_II·U_I,    dL/dU_T = dC_ITᵀ·U_I + 2·dC_TT·U_T.
 */
#include "core/trainer.h"

#include <math.h>

/* cosine becomes its own gradient: c ← factor·(c − s).  Returns Σ(c − s)². */
static double
square_error(const CoreEnv *env, float *cosine, const float *target, size_t count, float factor)
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
cosines(Trainer *trainer, const Learner *a, const Learner *b, int rows)
{
	int			bits = a->network.outputs;

	blas_product(&trainer->env, false, true, rows, rows, bits, 1, a->unit, bits,
				 b->unit, bits, 0, trainer->cosine, rows);
}

/* to's gradient [m × K] = beta·itself + op(G) [m × m] · from's unit rows. */
static void
add_gradient(Trainer *trainer, bool transpose, Learner *to, const Learner *from, int rows, float beta)
{
	int			bits = to->network.outputs;

	blas_product(&trainer->env, transpose, false, rows, bits, rows, 1, trainer->cosine, rows,
				 from->unit, bits, beta, to->gradient_unit, bits);
}

/* Term cos(B,B) of one modality: η·mse, and 2·dC·U added to its gradient. */
static double
within(Trainer *trainer, Learner *learner, int rows)
{
	double		pairs = (double) rows * rows;
	double		sum;

	cosines(trainer, learner, learner, rows);
	sum = square_error(&trainer->env, trainer->cosine, trainer->similarity.joint,
					   (size_t) rows * rows, 4 * trainer->options.eta / pairs);
	add_gradient(trainer, false, learner, learner, rows, 1);
	return trainer->options.eta * sum / pairs;
}

/* Both cross terms and the diagonal; sets the gradients. */
static void
across(Trainer *trainer, int rows, double *cross, double *pair)
{
	double		pairs = (double) rows * rows;
	double		diagonal = 0;
	double		sum;
	int			i;

	cosines(trainer, &trainer->image, &trainer->text, rows);
	for (i = 0; i < rows; i++)
		diagonal += trainer->cosine[(size_t) i * rows + i];
	sum = square_error(&trainer->env, trainer->cosine, trainer->similarity.joint,
					   (size_t) rows * rows, 4 / pairs);
	for (i = 0; i < rows; i++)
		trainer->cosine[(size_t) i * rows + i] -= 1.0f / rows;
	add_gradient(trainer, false, &trainer->image, &trainer->text, rows, 0);
	add_gradient(trainer, true, &trainer->text, &trainer->image, rows, 0);
	*cross = 2 * sum / pairs;
	*pair = -diagonal / rows;
}

/*
 * Loss of the batch whose H both learners hold, and dL/dH in their
 * gradient_unit.
 */
double
jdsh_loss(Trainer *trainer, int rows, float a, double terms[TRAIN_MAX_TERMS])
{
	learner_activate(&trainer->image, rows, a);
	learner_activate(&trainer->text, rows, a);
	across(trainer, rows, &terms[0], &terms[1]);
	terms[2] = within(trainer, &trainer->image, rows);
	terms[3] = within(trainer, &trainer->text, rows);
	learner_deactivate(&trainer->image, rows, a);
	learner_deactivate(&trainer->text, rows, a);
	return terms[0] + terms[1] + terms[2] + terms[3];
}

static SgdStep
sgd_constants(const TrainOptions *options, double rate)
{
	SgdStep		sgd = {rate, options->momentum, options->weight_decay};

	return sgd;
}

/* Initial weights: weights and biases uniform in ±1/√inputs. */
void
jdsh_prepare(Trainer *trainer)
{
	const TrainOptions *options = &trainer->options;
	SgdStep		image = sgd_constants(options, options->learning_rate_image);
	SgdStep		text = sgd_constants(options, options->learning_rate_text);

	learner_initialise(&trainer->image, options->seed, RANDOM_WEIGHTS_IMAGE, TRAIN_INIT_FAN_IN, 1, true);
	learner_initialise(&trainer->text, options->seed, RANDOM_WEIGHTS_TEXT, TRAIN_INIT_FAN_IN, 1, true);
	sgd_prepare(&trainer->image, &image, trainer->steps);
	sgd_prepare(&trainer->text, &text, trainer->steps);
}

bool
jdsh_step(Trainer *trainer, const Features *image, const Features *text,
		  int epoch, int step, double terms[TRAIN_MAX_TERMS])
{
	const TrainOptions *options = &trainer->options;
	SgdStep		sgd_image = sgd_constants(options, options->learning_rate_image);
	SgdStep		sgd_text = sgd_constants(options, options->learning_rate_text);

	similarity_compute(&trainer->similarity, &trainer->env, options, image, text);
	similarity_weight(&trainer->similarity, &trainer->env, options, &trainer->fit, image->rows);
	sgd_forward(&trainer->image, image, step);
	sgd_forward(&trainer->text, text, step);
	if (!isfinite(jdsh_loss(trainer, image->rows, sqrtf(epoch + 1), terms)))
		return false;
	sgd_step(&trainer->image, image, &sgd_image, step);
	sgd_step(&trainer->text, text, &sgd_text, step);
	return true;
}
