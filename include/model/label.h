/*
 * model/label.h: class labels of rows, read from columns of any accepted form.
 *
 * A label column holds either a vector of zeros and ones, one element a class
 * (boolean[], smallint[], integer[], bigint[], real[], double precision[],
 * bit, bit varying), or class names (one: text, varchar, char, name, an enum;
 * several: an array of these), or a class number (smallint, integer, bigint),
 * which is a name of its decimal digits.  Domains count as their base types.
 *
 * Rows are fed one by one.  What a row gets is the number of its label set:
 * few rows differ in all their labels, so each distinct set is stored once and
 * a row costs four bytes, however many classes there are.
 */
#ifndef LABEL_H
#define LABEL_H

#include "xmhash.h"

#include "core/metrics.h"

/* The set of rows without any class: NULL, all zeros, an empty text[]. */
#define LABEL_NO_CLASS 0

typedef struct Labels Labels;

/* An empty collection, in a memory context of its own below the current one. */
extern Labels *labels_create(void);
extern void labels_free(Labels *labels);

/*
 * The rows that follow come from this column; its name and the relation's are
 * for messages and are copied.  A type that is no label raises 42804 and names
 * the accepted ones.  Called again for a second column, whose labels must mean
 * the same classes: vectors of the same length, or names, else 42804.
 */
extern void labels_source(Labels *labels, const char *relation, const char *column,
						  Oid type);

/*
 * The label set of one row; `row` is its ordinal from 1, for messages.  Raises
 * an error for vectors of another length than the first one's, elements other
 * than 0 and 1, NULL elements, and arrays of several dimensions.
 */
extern int32 labels_add(Labels *labels, Datum value, bool isnull, int64 row);

/*
 * Nothing more is added: number the classes for good, names in byte order (in
 * that of numbers, if all columns hold numbers), so that it does not depend on
 * the order in which rows were read.  Set numbers stay, and do depend on it.
 * The functions below come after this.
 */
extern void labels_finish(Labels *labels);

/* Number of classes; 0 when there was no vector and no name at all. */
extern int	labels_classes(const Labels *labels);

/* Name of class 0 … classes − 1; NULL when labels are vectors. */
extern const char *labels_class_name(const Labels *labels, int class_number);

/* Number of rows of a class, over all sources. */
extern int64 labels_class_rows(const Labels *labels, int class_number);

/* The classes of a set, ascending; returns how many. */
extern int	labels_set(const Labels *labels, int32 set, const int32 **classes);

/* All sets as evaluation takes them, in memory of this context. */
extern void labels_eval_sets(const Labels *labels, MemoryContext context, EvalSets *sets);

/* A set as a row of zeros and ones [classes]. */
extern void labels_multi_hot(const Labels *labels, int32 set, uint8 *row);

/*
 * Between model/label_read.c, which knows the forms, and model/label_set.c, which keeps
 * names and sets.
 */
typedef struct LabelSets LabelSets;

extern LabelSets *label_sets_create(void);
extern int32 label_sets_class(LabelSets *sets, const char *name, int bytes);
extern int32 label_sets_add(LabelSets *sets, int32 *classes, int count);
extern void label_sets_finish(LabelSets *sets, int vector_length, bool numbers);

/* Labels begin with it: the rest of them is label_read.c's alone. */
typedef struct LabelsHead
{
	LabelSets  *sets;
} LabelsHead;

#endif							/* LABEL_H */
