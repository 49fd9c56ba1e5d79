/*
 * model/label_read.c: from a label column's values to classes.
 *
 * Vectors of zeros and ones number their classes by position; names are
 * compared byte by byte, and a class number is the name of its digits.  A
 * column is one or the other throughout, so the form is settled from the
 * column's type before any row is read.
 */
#include "model/label.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varbit.h"

typedef enum LabelForm
{
	LABEL_VECTOR,				/* an array of zeros and ones */
	LABEL_BITS,					/* a bit string */
	LABEL_NUMBER,				/* one class number */
	LABEL_NAME,					/* one class name */
	LABEL_NAMES					/* an array of class names */
} LabelForm;

struct Labels
{
	LabelsHead	head;
	MemoryContext context;
	MemoryContext row_context;	/* reset with every row */
	int			sources;
	bool		numbers;		/* all sources hold class numbers */
	int			length;			/* of the vectors; -1 before the first one */
	int32	   *classes;		/* of the row being read */
	int			classes_capacity;

	/* The current source. */
	char	   *relation;
	char	   *column;
	LabelForm	form;
	Oid			type;			/* of the element, if it is an array */
	int16		type_length;
	bool		type_by_value;
	char		type_align;
	FmgrInfo	output;			/* of class names */
};

Labels *
labels_create(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash labels",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Labels	   *labels = palloc0(sizeof(Labels));

	labels->context = context;
	labels->row_context = AllocSetContextCreate(context, "xmhash label row",
												ALLOCSET_SMALL_SIZES);
	labels->head.sets = label_sets_create();
	labels->numbers = true;
	labels->length = -1;
	labels->classes_capacity = 64;
	labels->classes = palloc(labels->classes_capacity * sizeof(int32));
	MemoryContextSwitchTo(old_context);
	return labels;
}

void
labels_free(Labels *labels)
{
	MemoryContextDelete(labels->context);
}

static bool
label_read_is_vector_element(Oid type)
{
	return type == BOOLOID || type == INT2OID || type == INT4OID || type == INT8OID ||
		type == FLOAT4OID || type == FLOAT8OID;
}

static bool
label_read_is_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Class names are strings and enum values: types whose output is a plain word. */
static bool
label_read_is_name(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING || category == TYPCATEGORY_ENUM;
}

static bool
label_read_is_names_form(LabelForm form)
{
	return form == LABEL_NUMBER || form == LABEL_NAME || form == LABEL_NAMES;
}

/* The form of labels of a type; false if it is none. */
static bool
label_read_find_form(Oid column_type, LabelForm *form, Oid *type)
{
	Oid			base = getBaseType(column_type);
	Oid			element = get_element_type(base);

	*type = OidIsValid(element) ? getBaseType(element) : base;
	if (OidIsValid(element) && label_read_is_vector_element(*type))
		*form = LABEL_VECTOR;
	else if (base == BITOID || base == VARBITOID)
		*form = LABEL_BITS;
	else if (label_read_is_number(base))
		*form = LABEL_NUMBER;
	else if (label_read_is_name(*type))
		*form = OidIsValid(element) ? LABEL_NAMES : LABEL_NAME;
	else
		return false;
	return true;
}

void
labels_source(Labels *labels, const char *relation, const char *column, Oid type)
{
	bool		names_before = label_read_is_names_form(labels->form);
	Oid			output;
	bool		varlena;

	if (!label_read_find_form(type, &labels->form, &labels->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("label column \"%s\" of relation \"%s\" is of type %s, which holds no labels",
						column, relation, format_type_be(type)),
				 errdetail("Labels are vectors of zeros and ones (boolean[], smallint[], integer[], bigint[], "
						   "real[], double precision[], bit, bit varying), class names (text, varchar, "
						   "an enum, or an array of these) or class numbers (smallint, integer, bigint)."),
				 errhint("Other values that stand for classes can be cast to text in a view.")));
	if (labels->sources++ > 0 && label_read_is_names_form(labels->form) != names_before)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("label column \"%s\" of relation \"%s\" holds %s, but that of relation \"%s\" %s",
						column, relation, names_before ? "vectors" : "class names",
						labels->relation, names_before ? "class names" : "vectors"),
				 errhint("Both must be class names or numbers, or both vectors of zeros and ones.")));
	labels->numbers &= labels->form == LABEL_NUMBER;
	labels->relation = MemoryContextStrdup(labels->context, relation);
	labels->column = MemoryContextStrdup(labels->context, column);
	get_typlenbyvalalign(labels->type, &labels->type_length, &labels->type_by_value,
						 &labels->type_align);
	if (labels->form == LABEL_NAME || labels->form == LABEL_NAMES)
	{
		getTypeOutputInfo(labels->type, &output, &varlena);
		fmgr_info_cxt(output, &labels->output, labels->context);
	}
}

/* Where the row is, for messages about its label. */
static int
label_read_context(const Labels *labels, int64 row)
{
	return errdetail("This is row %lld of relation \"%s\", as read.",
					 (long long) row, labels->relation);
}

/* Room for that many class numbers. */
static void
label_read_reserve_classes(Labels *labels, int count)
{
	if (count <= labels->classes_capacity)
		return;
	labels->classes_capacity = Max(count, 2 * labels->classes_capacity);
	labels->classes = repalloc_huge(labels->classes,
									labels->classes_capacity * sizeof(int32));
}

/* Check a vector's length against the ones before. */
static void
label_read_check_length(Labels *labels, int length, int64 row)
{
	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("label column \"%s\" has an empty vector", labels->column),
				 label_read_context(labels, row),
				 errhint("A row without labels has NULL or a vector of zeros.")));
	if (labels->length == -1)
		labels->length = length;
	if (length != labels->length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("label column \"%s\" has a vector of length %d, but the ones before have length %d",
						labels->column, length, labels->length),
				 label_read_context(labels, row)));
}

static void
label_read_check_array(Labels *labels, ArrayType *array, int64 row)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("label column \"%s\" has an array of %d dimensions, expected 1",
						labels->column, ARR_NDIM(array)),
				 label_read_context(labels, row)));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("label column \"%s\" has an array with a NULL element", labels->column),
				 label_read_context(labels, row),
				 label_read_is_names_form(labels->form) ?
				 errhint("array_remove(%s, NULL) drops NULL elements.",
						 quote_identifier(labels->column)) :
				 errhint("A row without labels has NULL or a vector of zeros.")));
}

/* 0 or 1, or -1 for any other value (NaN included: it equals nothing). */
static int
label_read_vector_element(const Labels *labels, Datum value)
{
	double		number;

	switch (labels->type)
	{
		case BOOLOID:
			return DatumGetBool(value) ? 1 : 0;
		case INT2OID:
			number = DatumGetInt16(value);
			break;
		case INT4OID:
			number = DatumGetInt32(value);
			break;
		case INT8OID:
			number = (double) DatumGetInt64(value);
			break;
		case FLOAT4OID:
			number = DatumGetFloat4(value);
			break;
		default:
			number = DatumGetFloat8(value);
			break;
	}
	return number == 0 ? 0 : number == 1 ? 1 : -1;
}

/* Classes of a vector [length]: the positions of its ones. */
static int
label_read_vector(Labels *labels, Datum value, int64 row)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	int			length;
	int			count = 0;
	int			i;

	label_read_check_array(labels, array, row);
	deconstruct_array(array, labels->type, labels->type_length, labels->type_by_value,
					  labels->type_align, &elements, NULL, &length);
	label_read_check_length(labels, length, row);
	label_read_reserve_classes(labels, length);
	for (i = 0; i < length; i++)
	{
		int			element = label_read_vector_element(labels, elements[i]);

		if (element < 0)
		{
			Oid			output;
			bool		varlena;

			getTypeOutputInfo(labels->type, &output, &varlena);
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("label column \"%s\" has %s as element %d, expected 0 or 1",
							labels->column, OidOutputFunctionCall(output, elements[i]), i + 1),
					 label_read_context(labels, row)));
		}
		if (element == 1)
			labels->classes[count++] = i;
	}
	return count;
}

/* Classes of a bit string: the positions of its ones, the first bit class 0. */
static int
label_read_bits(Labels *labels, Datum value, int64 row)
{
	VarBit	   *bits = DatumGetVarBitP(value);
	int			length = VARBITLEN(bits);
	int			count = 0;
	int			i;

	label_read_check_length(labels, length, row);
	label_read_reserve_classes(labels, length);
	for (i = 0; i < length; i++)
	{
		if (VARBITS(bits)[i / BITS_PER_BYTE] & (HIGHBIT >> (i % BITS_PER_BYTE)))
			labels->classes[count++] = i;
	}
	return count;
}

static int32
label_read_number(Labels *labels, Datum value)
{
	char		name[MAXINT8LEN + 1];
	int64		number;

	if (labels->type == INT2OID)
		number = DatumGetInt16(value);
	else if (labels->type == INT4OID)
		number = DatumGetInt32(value);
	else
		number = DatumGetInt64(value);
	return label_sets_class(labels->head.sets, name, pg_lltoa(number, name));
}

static int32
label_read_name(Labels *labels, Datum value)
{
	char	   *name = OutputFunctionCall(&labels->output, value);
	int			bytes = strlen(name);

	/* char(n) pads with blanks that are no part of its value. */
	if (labels->type == BPCHAROID)
	{
		while (bytes > 0 && name[bytes - 1] == ' ')
			bytes--;
	}
	return label_sets_class(labels->head.sets, name, bytes);
}

static int
label_read_names(Labels *labels, Datum value, int64 row)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	int			count;
	int			i;

	label_read_check_array(labels, array, row);
	deconstruct_array(array, labels->type, labels->type_length, labels->type_by_value,
					  labels->type_align, &elements, NULL, &count);
	label_read_reserve_classes(labels, count);
	for (i = 0; i < count; i++)
		labels->classes[i] = label_read_name(labels, elements[i]);
	return count;
}

int32
labels_add(Labels *labels, Datum value, bool isnull, int64 row)
{
	MemoryContext old_context;
	int			count = 0;
	int32		set;

	if (isnull)
		return label_sets_add(labels->head.sets, labels->classes, 0);
	old_context = MemoryContextSwitchTo(labels->row_context);
	switch (labels->form)
	{
		case LABEL_VECTOR:
			count = label_read_vector(labels, value, row);
			break;
		case LABEL_BITS:
			count = label_read_bits(labels, value, row);
			break;
		case LABEL_NUMBER:
			labels->classes[0] = label_read_number(labels, value);
			count = 1;
			break;
		case LABEL_NAME:
			labels->classes[0] = label_read_name(labels, value);
			count = 1;
			break;
		case LABEL_NAMES:
			count = label_read_names(labels, value, row);
			break;
	}
	MemoryContextSwitchTo(old_context);
	set = label_sets_add(labels->head.sets, labels->classes, count);
	MemoryContextReset(labels->row_context);
	return set;
}

void
labels_finish(Labels *labels)
{
	label_sets_finish(labels->head.sets, Max(labels->length, 0), labels->numbers);
}
