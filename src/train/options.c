/*
 * train/options.c: the options of a training, from jsonb and back.
 *
 * A method's table names every option with its type, range and default
 * (core/method_*.c).  An option of another method is as unknown as a misspelled
 * one: silently ignoring either would hide a mistake.
 */
#include "train/data.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"

/* "\"a\", \"b\" and \"c\"" of the methods' names. */
static char *
options_method_names(void)
{
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; train_methods[i] != NULL; i++)
		appendStringInfo(&names, "%s\"%s\"", i == 0 ? "" : train_methods[i + 1] != NULL ? ", " : " and ",
						 train_methods[i]->name);
	return names.data;
}

const TrainMethod *
train_options_method(const char *name)
{
	const TrainMethod *method = train_method(name);

	if (method == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("training method \"%s\" does not exist", name),
				 errhint("The methods are %s.", options_method_names())));
	return method;
}

static const OptionSpec *
options_find(const TrainMethod *method, const char *name, int length)
{
	const OptionSpec *option = train_option(method, pnstrdup(name, length));
	StringInfoData valid;

	if (option != NULL)
		return option;
	initStringInfo(&valid);
	for (option = method->options; option->name != NULL; option++)
		appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", option->name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("method \"%s\" has no option \"%.*s\"", method->name, length, name),
			 errhint("Its options are: %s.", valid.data)));
}

/* What an option's value must be, for messages. */
static char *
options_expected(const OptionSpec *option)
{
	StringInfoData words;
	int			i;

	switch (option->type)
	{
		case OPTION_INTEGER:
		case OPTION_SEED:
			return psprintf("an integer between %.0f and %.0f", option->min, option->max);
		case OPTION_NUMBER:
			if (option->max >= OPTION_UNLIMITED)
				return psprintf("a number of at least %g", option->min);
			return psprintf("a number between %g and %g", option->min, option->max);
		case OPTION_BOOLEAN:
			return pstrdup("true or false");
		case OPTION_WORD:
			initStringInfo(&words);
			for (i = 0; option->words[i] != NULL; i++)
				appendStringInfo(&words, "%s\"%s\"", i == 0 ? "" : option->words[i + 1] != NULL ? ", " : " or ",
								 option->words[i]);
			return words.data;
	}
	return NULL;
}

static void
options_bad_value(const OptionSpec *option, JsonbValue *value)
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
			 errmsg("option \"%s\" is %s, expected %s", option->name, shown, options_expected(option))));
}

/* A word's number, or -1. */
static int
options_word(const OptionSpec *option, const JsonbValue *value)
{
	int			i;

	for (i = 0; option->words[i] != NULL; i++)
	{
		if (value->type == jbvString && strlen(option->words[i]) == (size_t) value->val.string.len &&
			memcmp(option->words[i], value->val.string.val, value->val.string.len) == 0)
			return i;
	}
	return -1;
}

static void
options_set(TrainOptions *options, const OptionSpec *option, JsonbValue *value)
{
	double		number = 0;

	switch (option->type)
	{
		case OPTION_INTEGER:
		case OPTION_SEED:
		case OPTION_NUMBER:
			if (value->type != jbvNumeric)
				options_bad_value(option, value);
			number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
														NumericGetDatum(value->val.numeric)));
			if (!(number >= option->min && number <= option->max) ||
				(option->type != OPTION_NUMBER && number != floor(number)))
				options_bad_value(option, value);
			break;
		case OPTION_BOOLEAN:
			if (value->type != jbvBool)
				options_bad_value(option, value);
			number = value->val.boolean;
			break;
		case OPTION_WORD:
			number = options_word(option, value);
			if (number < 0)
				options_bad_value(option, value);
			break;
	}
	train_option_set(options, option, number);
}

/* Options that are right one by one, but not together. */
static void
options_check(const TrainOptions *options)
{
	char		message[200];

	if (options->method->check != NULL && !options->method->check(options, message, sizeof(message)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_internal("%s", message)));
	if ((options->keep_best || options->patience > 0) && options->validation_fraction == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" needs a \"validation_fraction\" above 0",
						options->keep_best ? "keep_best" : "patience")));
}

/* Defaults of the method, then what the user says. */
void
train_options_read(Jsonb *json, const TrainMethod *method, int bits, TrainOptions *options)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	const OptionSpec *option = NULL;

	train_defaults(options, method);
	options->bits = bits;
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options are a JSON %s, expected an object",
						JB_ROOT_IS_SCALAR(json) ? "scalar" : "array"),
				 errhint("For example: {\"epochs\": 100}.")));

	/* Nested values are skipped whole and so arrive as jbvBinary. */
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, option != NULL)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			option = options_find(method, value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			options_set(options, option, &value);
			option = NULL;
		}
	}
	options_check(options);
}

/* All options of the method with their values, as JSON. */
char *
train_options_write(const TrainOptions *options)
{
	const OptionSpec *option;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (option = options->method->options; option->name != NULL; option++)
	{
		double		value = train_option_get(options, option);

		switch (option->type)
		{
			case OPTION_INTEGER:
			case OPTION_SEED:
				json_put_integer(&json, option->name, (int64) value);
				break;
			case OPTION_NUMBER:
				json_put_number(&json, option->name, value);
				break;
			case OPTION_BOOLEAN:
				json_put_json(&json, option->name, value != 0 ? "true" : "false");
				break;
			case OPTION_WORD:
				json_put_string(&json, option->name, option->words[(int) value]);
				break;
		}
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}
