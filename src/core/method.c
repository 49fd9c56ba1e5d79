/*
 * core/method.c: the list of training methods, and options by name.
 *
 * A new method is a file core/method_NAME.c that defines method_NAME, and one
 * more line here.
 */
#include "core/train.h"

#include <string.h>

#define METHODS(METHOD) \
	METHOD(method_jdsh) \
	METHOD(method_dmsh_ln) \
	METHOD(method_kernel_ridge)

#define DECLARE(method) extern const TrainMethod method;
#define LIST(method) &method,

METHODS(DECLARE)

const TrainMethod *const train_methods[] = {METHODS(LIST) NULL};

const TrainMethod *
train_method(const char *name)
{
	int			i;

	for (i = 0; train_methods[i] != NULL; i++)
		if (strcmp(train_methods[i]->name, name) == 0)
			return train_methods[i];
	return NULL;
}

const OptionSpec *
train_option(const TrainMethod *method, const char *name)
{
	const OptionSpec *option;

	for (option = method->options; option->name != NULL; option++)
		if (strcmp(option->name, name) == 0)
			return option;
	return NULL;
}

double
train_option_get(const TrainOptions *options, const OptionSpec *option)
{
	const void *field = (const char *) options + option->offset;

	switch (option->type)
	{
		case OPTION_INTEGER:
		case OPTION_WORD:
			return *(const int *) field;
		case OPTION_SEED:
			return *(const int64_t *) field;
		case OPTION_NUMBER:
			return *(const double *) field;
		case OPTION_BOOLEAN:
			return *(const bool *) field;
	}
	return 0;
}

void
train_option_set(TrainOptions *options, const OptionSpec *option, double value)
{
	void	   *field = (char *) options + option->offset;

	switch (option->type)
	{
		case OPTION_INTEGER:
		case OPTION_WORD:
			*(int *) field = (int) value;
			break;
		case OPTION_SEED:
			*(int64_t *) field = (int64_t) value;
			break;
		case OPTION_NUMBER:
			*(double *) field = value;
			break;
		case OPTION_BOOLEAN:
			*(bool *) field = value != 0;
			break;
	}
}

void
train_defaults(TrainOptions *options, const TrainMethod *method)
{
	const OptionSpec *option;

	memset(options, 0, sizeof(*options));
	options->method = method;
	options->bits = 64;
	for (option = method->options; option->name != NULL; option++)
		train_option_set(options, option, option->initial);
}

int
train_epochs(const TrainOptions *options)
{
	int			phases;

	if (options->method->phases == NULL)
		return options->epochs;
	for (phases = 0; options->method->phases[phases] != NULL; phases++)
		;
	return phases;
}
