/*
 * eval/chart_functions.c: pictures of trainings and of evaluations in SQL.
 */
#include "xmhash.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include <math.h>

#include "eval/chart.h"
#include "eval/read.h"
#include "model/model.h"

XMHASH_FUNCTION(xmhash_plot_precision_recall);
XMHASH_FUNCTION(xmhash_plot_precision_recall_several);
XMHASH_FUNCTION(xmhash_plot_training);

#define MAX_SERIES 32			/* more lines than anyone can tell apart */
#define MAX_LETTERS 24			/* of a name in the legend */

/* A name short enough for a legend, cut between characters. */
static char *
chart_short_name(const char *name)
{
	if (pg_mbstrlen(name) <= MAX_LETTERS)
		return pstrdup(name);
	return psprintf("%.*s...", pg_mbcharcliplen(name, strlen(name), MAX_LETTERS - 2), name);
}

/* -------------------------------------------------- precision and recall */

static double *
chart_copy_numbers(const double *numbers, int count)
{
	double	   *copy = palloc_extended((Size) Max(count, 1) * sizeof(double), MCXT_ALLOC_HUGE);

	memcpy(copy, numbers, count * sizeof(double));
	return copy;
}

/* The curve of one pair of code columns, by rank; its name tells the mAP. */
static void
chart_make_curve(PlotSeries *series, const EvalSource *source, int64 k, Oid function,
				 const char *name, int style)
{
	EvalInput	input;
	EvalCurve	curve;

	eval_read(&input, source, function);
	evaluator_curve(eval_evaluator(&input, k), input.queries.rows, input.queries.codes,
					input.queries.set, &curve);
	if (name == NULL)
		name = psprintf("%s to %s", source->query_code, source->database_code);
	series->name = psprintf("%s (mAP %.3f)", chart_short_name(name), curve.map);
	series->style = style;
	series->points = curve.queries > 0 ? curve.ranks : 0;
	series->x = chart_copy_numbers(curve.rank_recall, series->points);
	series->y = chart_copy_numbers(curve.rank_precision, series->points);
	eval_release(&input);
}

static char *
chart_of_curves(const EvalSource *source, PlotSeries *series, int count, int64 k)
{
	Plot		plot;
	StringInfoData description;
	int			s;

	initStringInfo(&description);
	appendStringInfo(&description, "Precision over recall, averaged over the queries of %s, in rankings of %s by Hamming distance",
					 get_rel_name(source->queries), get_rel_name(source->database));
	for (s = 0; s < count; s++)
		appendStringInfo(&description, "%s %s", s == 0 ? ":" : ",", series[s].name);

	memset(&plot, 0, sizeof(plot));
	plot.title = psprintf("Precision and recall: %s in %s%s%s%s", get_rel_name(source->queries),
						  get_rel_name(source->database),
						  k > 0 ? psprintf(", first %lld ranks", (long long) k) : "",
						  count == 1 ? "; " : "", count == 1 ? series[0].name : "");
	plot.description = description.data;
	plot.x_title = "recall (share of all relevant rows that is found)";
	plot.x_share = true;
	plot.panel_count = 1;
	plot.panels[0].y_title = "precision (share of found rows that is relevant)";
	plot.panels[0].share = true;
	plot.panels[0].series_count = count;
	plot.panels[0].series = series;
	return plot_svg(&plot);
}

Datum
xmhash_plot_precision_recall(PG_FUNCTION_ARGS)
{
	EvalSource	source;
	PlotSeries	series;
	int64		k;

	eval_get_source(fcinfo, &source);
	k = eval_get_cutoff(fcinfo, 5);
	memset(&series, 0, sizeof(series));
	chart_make_curve(&series, &source, k, fcinfo->flinfo->fn_oid, NULL, 0);
	PG_RETURN_TEXT_P(cstring_to_text(chart_of_curves(&source, &series, 1, k)));
}

/* How many elements an array argument has: a list, of no more lines than can be drawn. */
static int
chart_check_array(ArrayType *array, const char *name)
{
	int			count;

	if (ARR_NDIM(array) != 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension without NULL elements", name)));
	count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (count > MAX_SERIES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s has %d elements, expected at most %d", name, count, MAX_SERIES)));
	return count;
}

/* The elements of an array argument as strings; returns how many. */
static int
chart_get_strings(FunctionCallInfo fcinfo, int argument, const char *name, Oid type, char ***strings)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argument);
	Datum	   *elements;
	int			count = chart_check_array(array, name);
	int			i;

	deconstruct_array(array, type, type == NAMEOID ? NAMEDATALEN : -1, false,
					  type == NAMEOID ? TYPALIGN_CHAR : TYPALIGN_INT, &elements, NULL, &count);
	*strings = palloc(count * sizeof(char *));
	for (i = 0; i < count; i++)
		(*strings)[i] = type == NAMEOID ? pstrdup(NameStr(*DatumGetName(elements[i]))) :
			TextDatumGetCString(elements[i]);
	return count;
}

static void
chart_check_count(const char *name, int count, int expected)
{
	if (count != expected)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s has %d elements, but query_codes has %d", name, count, expected)));
}

/* Several pairs of code columns over one another; with names, or theirs. */
Datum
xmhash_plot_precision_recall_several(PG_FUNCTION_ARGS)
{
	static const char *const arguments[] = {"queries", "query_codes", "database", "database_codes", "label_column"};
	EvalSource	source;
	PlotSeries *series;
	char	  **query_codes;
	char	  **database_codes;
	char	  **names = NULL;
	int64		k;
	int			count;
	int			s;

	for (s = 0; s < lengthof(arguments); s++)
		eval_require_argument(fcinfo, s, arguments[s]);
	count = chart_get_strings(fcinfo, 1, "query_codes", NAMEOID, &query_codes);
	chart_check_count("database_codes", chart_get_strings(fcinfo, 3, "database_codes", NAMEOID, &database_codes), count);
	if (!PG_ARGISNULL(5))
		chart_check_count("names", chart_get_strings(fcinfo, 5, "names", TEXTOID, &names), count);
	k = eval_get_cutoff(fcinfo, 6);
	source.queries = PG_GETARG_OID(0);
	source.database = PG_GETARG_OID(2);
	source.label_column = NameStr(*PG_GETARG_NAME(4));
	series = palloc0(count * sizeof(PlotSeries));
	for (s = 0; s < count; s++)
	{
		source.query_code = query_codes[s];
		source.database_code = database_codes[s];
		chart_make_curve(&series[s], &source, k, fcinfo->flinfo->fn_oid, names ? names[s] : NULL, s);
	}
	PG_RETURN_TEXT_P(cstring_to_text(chart_of_curves(&source, series, count, k)));
}

/* ------------------------------------------------------------- training */

/* What is drawn of one model. */
typedef struct Training
{
	PlotSeries	loss;
	PlotSeries	validation;
	bool		validated;
} Training;

static void
chart_series_allocate(PlotSeries *series, const char *name, int style, int points)
{
	series->name = chart_short_name(name);
	series->style = style;
	series->points = points;
	series->x = palloc(Max(points, 1) * sizeof(double));
	series->y = palloc(Max(points, 1) * sizeof(double));
}

/* Run a query about one model, with the extension's schema in place of %s. */
static void
chart_run_query(const char *query, const char *schema, Oid model)
{
	Oid			type = REGCLASSOID;
	Datum		value = ObjectIdGetDatum(model);
	int			result;

	result = SPI_execute_with_args(psprintf(query, schema), 1, &type, &value, NULL, true, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "reading the training of a model failed: %s", SPI_result_code_string(result));
}

/* A number of SPI's result; NaN for NULL. */
static double
chart_get_number(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}

/* Loss and validation mAP by epoch. */
static void
chart_read_training(Training *training, Oid function, const char *schema, Oid model, int style,
					MemoryContext context)
{
	MemoryContext old_context;
	ModelTable	table;
	uint64		i;

	/* Whoever may not use it is told; the view would show nothing. */
	model_open(function, model, &table);
	model_close(&table);
	chart_run_query("SELECT epoch::pg_catalog.float8, loss::pg_catalog.float8, validation_map::pg_catalog.float8 "
					"FROM %s.xmhash_model_epochs($1) ORDER BY epoch", schema, model);
	if (SPI_processed == 0)
		ereport(NOTICE,
				(errmsg("model \"%s\" has no finished epoch to draw", model_name(model))));
	old_context = MemoryContextSwitchTo(context);
	chart_series_allocate(&training->loss, model_name(model), style, SPI_processed);
	chart_series_allocate(&training->validation, model_name(model), style, SPI_processed);
	MemoryContextSwitchTo(old_context);
	for (i = 0; i < SPI_processed; i++)
	{
		training->loss.x[i] = training->validation.x[i] = chart_get_number(i, 1);
		training->loss.y[i] = chart_get_number(i, 2);
		training->validation.y[i] = chart_get_number(i, 3);
		training->validated |= isfinite(training->validation.y[i]);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The terms that make up the loss of one model, as thin lines; returns how
 * many.  series has room for MAX_SERIES.
 */
static int
chart_read_terms(PlotSeries *series, const char *schema, Oid model, MemoryContext context)
{
	int			count = 0;
	uint64		i;

	chart_run_query("SELECT term.key, epoch::pg_catalog.float8, term.value::pg_catalog.float8, "
					"pg_catalog.count(*) OVER (PARTITION BY term.key)::pg_catalog.float8 "
					"FROM %s.xmhash_model_epochs($1), pg_catalog.jsonb_each_text(loss_terms) AS term "
					"ORDER BY term.key COLLATE pg_catalog.\"C\", epoch", schema, model);
	for (i = 0; i < SPI_processed && count < MAX_SERIES - 1;)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		int			points = (int) chart_get_number(i, 4);
		MemoryContext old_context = MemoryContextSwitchTo(context);
		PlotSeries *term = &series[count++];
		int			p;

		chart_series_allocate(term, name, count, points);
		MemoryContextSwitchTo(old_context);
		term->thin = true;
		for (p = 0; p < points; p++, i++)
		{
			term->x[p] = chart_get_number(i, 2);
			term->y[p] = chart_get_number(i, 3);
		}
	}
	SPI_freetuptable(SPI_tuptable);
	return count;
}

/* Put what was read into panels: losses above, validation below if there is any. */
static char *
chart_of_training(Training *trainings, const Oid *models, int count, PlotSeries *terms, int term_count)
{
	Plot		plot;
	PlotSeries *losses = palloc((count + term_count) * sizeof(PlotSeries));
	PlotSeries *validations = palloc(count * sizeof(PlotSeries));
	bool		validated = false;
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; i < count; i++)
	{
		losses[i] = trainings[i].loss;
		validations[i] = trainings[i].validation;
		validated |= trainings[i].validated;
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", model_name(models[i]));
	}
	if (term_count > 0)
	{
		losses[0].name = "loss";
		memcpy(losses + 1, terms, term_count * sizeof(PlotSeries));
	}
	memset(&plot, 0, sizeof(plot));
	plot.title = count == 1 ? psprintf("Training of %s", chart_short_name(model_name(models[0]))) :
		psprintf("Training of %d models", count);
	plot.description = psprintf("Loss by epoch%s: %s", validated ? ", and validation mAP" : "", names.data);
	plot.x_title = "epoch";
	plot.x_whole = true;
	plot.panel_count = validated ? 2 : 1;
	plot.panels[0].y_title = "loss (mean of an epoch)";
	plot.panels[0].series_count = count + term_count;
	plot.panels[0].series = losses;
	plot.panels[1].y_title = "validation mAP";
	plot.panels[1].series_count = count;
	plot.panels[1].series = validations;
	return plot_svg(&plot);
}

Datum
xmhash_plot_training(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	const char *schema = quote_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)));
	Training   *trainings;
	PlotSeries	terms[MAX_SERIES];
	ArrayType  *models;
	const Oid  *oids;
	int			count;
	int			term_count = 0;
	int			i;

	eval_require_argument(fcinfo, 0, "models");
	models = PG_GETARG_ARRAYTYPE_P(0);
	count = chart_check_array(models, "models");
	oids = (const Oid *) ARR_DATA_PTR(models);
	trainings = palloc0(count * sizeof(Training));
	memset(terms, 0, sizeof(terms));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (i = 0; i < count; i++)
		chart_read_training(&trainings[i], fcinfo->flinfo->fn_oid, schema, oids[i], i, context);
	if (count == 1)
		term_count = chart_read_terms(terms, schema, oids[0], context);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(chart_of_training(trainings, oids, count, terms, term_count)));
}
