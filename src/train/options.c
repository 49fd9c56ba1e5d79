/*
 * train/options.c: the options of a training, from jsonb and back.
 *
 * One table names every option, the methods that know it, its type and range.
 * An option of the other method is as unknown as a misspelled one: silently
 * ignoring either would hide a mistake.
 */
#include "train/data.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"

typedef enum OptionType
{
	OPTION_INTEGER,				/* int */
	OPTION_SEED,				/* int64_t */
	OPTION_NUMBER,				/* double */
	OPTION_BOOLEAN,				/* bool */
	OPTION_SCALE,				/* a word: TrainScale */
	OPTION_INIT					/* a word: TrainInit */
} OptionType;

#define FOR_JDSH 1
#define FOR_DMSH 2
#define FOR_BOTH 3

typedef struct Option
{
	const char *name;
	int			methods;
	OptionType	type;
	size_t		offset;			/* in TrainSettings */
	double		min;
	double		most;
} Option;

#define CORE(field) offsetof(TrainSettings, core.field)
#define HERE(field) offsetof(TrainSettings, field)
#define HUGE_INTEGER 2147483647.0
#define HUGE_NUMBER 1e30

static const char *const scale_words[] = {"rms", "none", "standard"};
static const char *const init_words[] = {"fan_in", "fan_out"};

static const Option options_known[] = {
	{"epochs", FOR_BOTH, OPTION_INTEGER, CORE(epochs), 1, 1000000},
	{"batch_size", FOR_BOTH, OPTION_INTEGER, CORE(batch_size), 2, 65536},
	{"seed", FOR_BOTH, OPTION_SEED, CORE(seed), 0, 9007199254740991.0},
	{"learning_rate_image", FOR_BOTH, OPTION_NUMBER, CORE(learning_rate_image), 0, HUGE_NUMBER},
	{"learning_rate_text", FOR_BOTH, OPTION_NUMBER, CORE(learning_rate_text), 0, HUGE_NUMBER},
	{"weight_decay", FOR_BOTH, OPTION_NUMBER, CORE(weight_decay), 0, HUGE_NUMBER},
	{"image_hidden", FOR_BOTH, OPTION_INTEGER, CORE(image_hidden), 0, MODEL_MAX_HIDDEN},
	{"text_hidden", FOR_BOTH, OPTION_INTEGER, CORE(text_hidden), 0, MODEL_MAX_HIDDEN},
	{"scale", FOR_BOTH, OPTION_SCALE, HERE(scale), 0, lengthof(scale_words)},
	{"validation_fraction", FOR_BOTH, OPTION_NUMBER, HERE(validation_fraction), 0, 0.9},
	{"keep_best", FOR_BOTH, OPTION_BOOLEAN, HERE(keep_best), 0, 1},
	{"patience", FOR_BOTH, OPTION_INTEGER, HERE(patience), 0, 1000000},
	{"checkpoint_seconds", FOR_BOTH, OPTION_NUMBER, HERE(checkpoint_seconds), 0, HUGE_NUMBER},
	{"momentum", FOR_JDSH, OPTION_NUMBER, CORE(momentum), 0, 0.9999},
	{"alpha", FOR_JDSH, OPTION_NUMBER, CORE(alpha), 0, 1},
	{"beta", FOR_JDSH, OPTION_NUMBER, CORE(beta), 0, 1},
	{"lambda", FOR_JDSH, OPTION_NUMBER, CORE(lambda), 0, 1},
	{"eta", FOR_JDSH, OPTION_NUMBER, CORE(eta), 0, HUGE_NUMBER},
	{"mu", FOR_JDSH, OPTION_NUMBER, CORE(mu), 0, HUGE_NUMBER},
	{"l1", FOR_JDSH, OPTION_NUMBER, CORE(l1), 0, HUGE_NUMBER},
	{"l2", FOR_JDSH, OPTION_NUMBER, CORE(l2), 0, HUGE_NUMBER},
	{"low_factor", FOR_JDSH, OPTION_NUMBER, CORE(low_factor), 0, HUGE_NUMBER},
	{"high_factor", FOR_JDSH, OPTION_NUMBER, CORE(high_factor), 0, HUGE_NUMBER},
	{"clip_targets", FOR_JDSH, OPTION_BOOLEAN, CORE(clip_targets), 0, 1},
	{"learning_rate_label", FOR_DMSH, OPTION_NUMBER, CORE(learning_rate_label), 0, HUGE_NUMBER},
	{"label_hidden", FOR_DMSH, OPTION_INTEGER, CORE(label_hidden), 0, MODEL_MAX_HIDDEN},
	{"dropout", FOR_DMSH, OPTION_NUMBER, CORE(dropout), 0, 0.99},
	{"warmup", FOR_DMSH, OPTION_NUMBER, CORE(warmup), 0, 1},
	{"clip_norm", FOR_DMSH, OPTION_NUMBER, CORE(clip_norm), 0, HUGE_NUMBER},
	{"adam_beta1", FOR_DMSH, OPTION_NUMBER, CORE(adam_beta1), 0, 0.999999},
	{"adam_beta2", FOR_DMSH, OPTION_NUMBER, CORE(adam_beta2), 0, 0.999999},
	{"adam_epsilon", FOR_DMSH, OPTION_NUMBER, CORE(adam_epsilon), 1e-30, 1},
	{"init", FOR_DMSH, OPTION_INIT, CORE(init), 0, lengthof(init_words)},
	{"scale_positive", FOR_DMSH, OPTION_NUMBER, CORE(scale_positive), 1e-6, 1e6},
	{"scale_negative", FOR_DMSH, OPTION_NUMBER, CORE(scale_negative), 1e-6, 1e6},
	{"threshold", FOR_DMSH, OPTION_NUMBER, CORE(threshold), -1, 1},
	{"margin", FOR_DMSH, OPTION_NUMBER, CORE(margin), 0, 2},
	{"weight_ii", FOR_DMSH, OPTION_NUMBER, CORE(weight_ii), 0, HUGE_NUMBER},
	{"weight_tt", FOR_DMSH, OPTION_NUMBER, CORE(weight_tt), 0, HUGE_NUMBER},
	{"weight_yy", FOR_DMSH, OPTION_NUMBER, CORE(weight_yy), 0, HUGE_NUMBER},
	{"weight_it", FOR_DMSH, OPTION_NUMBER, CORE(weight_it), 0, HUGE_NUMBER},
	{"weight_iy", FOR_DMSH, OPTION_NUMBER, CORE(weight_iy), 0, HUGE_NUMBER},
	{"weight_ty", FOR_DMSH, OPTION_NUMBER, CORE(weight_ty), 0, HUGE_NUMBER},
	{"symmetric", FOR_DMSH, OPTION_BOOLEAN, CORE(symmetric), 0, 1},
};

static const char *const method_names[] = {"jdsh", "dmsh_ln"};

TrainMethod
train_method(const char *name)
{
	if (strcmp(name, method_names[TRAIN_JDSH]) == 0)
		return TRAIN_JDSH;
	if (strcmp(name, method_names[TRAIN_DMSH_LN]) == 0)
		return TRAIN_DMSH_LN;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("training method \"%s\" does not exist", name),
			 errhint("The methods are \"jdsh\" and \"dmsh_ln\".")));
}

const char *
train_method_name(TrainMethod method)
{
	return method_names[method];
}

static bool
applies(const Option *option, TrainMethod method)
{
	return (option->methods & (method == TRAIN_JDSH ? FOR_JDSH : FOR_DMSH)) != 0;
}

static const Option *
find_option(const char *name, int length, TrainMethod method)
{
	StringInfoData valid;
	size_t		i;

	for (i = 0; i < lengthof(options_known); i++)
	{
		if (applies(&options_known[i], method) &&
			strlen(options_known[i].name) == (size_t) length &&
			memcmp(options_known[i].name, name, length) == 0)
			return &options_known[i];
	}
	initStringInfo(&valid);
	for (i = 0; i < lengthof(options_known); i++)
	{
		if (applies(&options_known[i], method))
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", options_known[i].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("method \"%s\" has no option \"%.*s\"", train_method_name(method), length, name),
			 errhint("Its options are: %s.", valid.data)));
}

/* What an option's value must be, for messages. */
static char *
expected(const Option *option)
{
	switch (option->type)
	{
		case OPTION_INTEGER:
		case OPTION_SEED:
			return psprintf("an integer between %.0f and %.0f", option->min, option->most);
		case OPTION_NUMBER:
			if (option->most >= HUGE_NUMBER)
				return psprintf("a number of at least %g", option->min);
			return psprintf("a number between %g and %g", option->min, option->most);
		case OPTION_BOOLEAN:
			return pstrdup("true or false");
		case OPTION_SCALE:
			return pstrdup("\"rms\", \"none\" or \"standard\"");
		case OPTION_INIT:
			return pstrdup("\"fan_in\" or \"fan_out\"");
	}
	return NULL;
}

static void
bad_value(const Option *option, JsonbValue *value)
{
	char	   *shown;

	switch (value->type)
	{
		case jbvNumeric:
			shown = DatumGetCString(DirectFunctionCall1(numeric_out,
														NumericGetDatum(value->val.numeric)));
			if (strlen(shown) > 40)
				shown = psprintf("%.20s...", shown);
			break;
		case jbvString:
			shown = psprintf("\"%.*s\"", value->val.string.len, value->val.string.val);
			break;
		case jbvBool:
			shown = value->val.boolean ? "true" : "false";
			break;
		case jbvNull:
			shown = "null";
			break;
		default:
			shown = "an array or object";
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" is %s, expected %s", option->name, shown, expected(option))));
}

static int
word_index(const Option *option, const JsonbValue *value, const char *const *words)
{
	int			i;

	for (i = 0; i < (int) option->most; i++)
	{
		if (value->type == jbvString && strlen(words[i]) == (size_t) value->val.string.len &&
			memcmp(words[i], value->val.string.val, value->val.string.len) == 0)
			return i;
	}
	return -1;
}

static void
set_option(TrainSettings *settings, const Option *option, JsonbValue *value)
{
	void	   *field = (char *) settings + option->offset;
	double		number = 0;
	int			word;

	if (option->type <= OPTION_NUMBER)
	{
		if (value->type != jbvNumeric)
			bad_value(option, value);
		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													NumericGetDatum(value->val.numeric)));
		if (!(number >= option->min && number <= option->most) ||
			(option->type != OPTION_NUMBER && number != floor(number)))
			bad_value(option, value);
	}
	switch (option->type)
	{
		case OPTION_INTEGER:
			*(int *) field = (int) number;
			break;
		case OPTION_SEED:
			*(int64_t *) field = (int64_t) number;
			break;
		case OPTION_NUMBER:
			*(double *) field = number;
			break;
		case OPTION_BOOLEAN:
			if (value->type != jbvBool)
				bad_value(option, value);
			*(bool *) field = value->val.boolean;
			break;
		case OPTION_SCALE:
		case OPTION_INIT:
			word = word_index(option, value, option->type == OPTION_SCALE ? scale_words : init_words);
			if (word < 0)
				bad_value(option, value);
			if (option->type == OPTION_SCALE)
				settings->scale = word;
			else
				settings->core.init = (TrainInit) word;
			break;
	}
}

/* Options that are right one by one, but not together. */
static void
check_together(const TrainSettings *settings)
{
	const TrainOptions *core = &settings->core;

	if (core->method == TRAIN_JDSH && fabs(core->alpha + core->beta + core->lambda - 1) > 1e-6)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"alpha\", \"beta\" and \"lambda\" add up to %g, expected 1",
						core->alpha + core->beta + core->lambda)));
	if ((settings->keep_best || settings->patience > 0) && settings->validation_fraction == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" needs a \"validation_fraction\" above 0",
						settings->keep_best ? "keep_best" : "patience")));
}

/* Defaults of the method, then what the user says. */
void
train_options_read(Jsonb *options, TrainMethod method, int bits, TrainSettings *settings)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	const Option *option = NULL;

	memset(settings, 0, sizeof(TrainSettings));
	train_defaults(&settings->core, method);
	settings->core.method = method;
	settings->core.bits = bits;
	settings->scale = TRAIN_SCALE_RMS;
	settings->checkpoint_seconds = 30;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options are a JSON %s, expected an object",
						JB_ROOT_IS_SCALAR(options) ? "scalar" : "array"),
				 errhint("For example: {\"epochs\": 100}.")));

	/* Nested values are skipped whole and so arrive as jbvBinary. */
	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &value, option != NULL)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			option = find_option(value.val.string.val, value.val.string.len, method);
		else if (token == WJB_VALUE)
		{
			set_option(settings, option, &value);
			option = NULL;
		}
	}
	check_together(settings);
}

/* All options of the method with their values, as JSON. */
char *
train_options_write(const TrainSettings *settings)
{
	StringInfoData json;
	size_t		i;

	initStringInfo(&json);
	for (i = 0; i < lengthof(options_known); i++)
	{
		const Option *option = &options_known[i];
		const void *field = (const char *) settings + option->offset;

		if (!applies(option, settings->core.method))
			continue;
		appendStringInfo(&json, "%s\"%s\": ", json.len > 0 ? ", " : "{", option->name);
		switch (option->type)
		{
			case OPTION_INTEGER:
				appendStringInfo(&json, "%d", *(const int *) field);
				break;
			case OPTION_SEED:
				appendStringInfo(&json, INT64_FORMAT, *(const int64_t *) field);
				break;
			case OPTION_NUMBER:
				model_append_number(&json, *(const double *) field);
				break;
			case OPTION_BOOLEAN:
				appendStringInfoString(&json, *(const bool *) field ? "true" : "false");
				break;
			case OPTION_SCALE:
				appendStringInfo(&json, "\"%s\"", scale_words[settings->scale]);
				break;
			case OPTION_INIT:
				appendStringInfo(&json, "\"%s\"", init_words[settings->core.init]);
				break;
		}
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}
