/*
 * model/label_set.c: class names and label sets, each distinct one kept once.
 *
 * Rows repeat their labels: a million rows have a few thousand distinct sets,
 * mostly fewer.  Evaluation then compares sets instead of rows, and training
 * keeps one number a row.  Both names and sets are byte strings to the hash
 * table that finds the one already there, a set as its sorted class numbers.
 */
#include "model/label.h"

#include "common/hashfn.h"

typedef struct InternKey
{
	const char *data;
	int			bytes;
} InternKey;

typedef struct InternEntry
{
	InternKey	key;
	int32		number;
	uint32		hash;
	char		status;
} InternEntry;

#define SH_PREFIX intern
#define SH_ELEMENT_TYPE InternEntry
#define SH_KEY_TYPE InternKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) \
	hash_bytes((const unsigned char *) (key).data, (key).bytes)
#define SH_EQUAL(table, a, b) \
	((a).bytes == (b).bytes && memcmp((a).data, (b).data, (a).bytes) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct LabelSet
{
	int			count;
	int32	   *classes;		/* ascending, once label_sets_finish() has run */
	int64		rows;
} LabelSet;

struct LabelSets
{
	MemoryContext context;
	struct intern_hash *name_numbers;
	struct intern_hash *set_numbers;
	const char **names;
	int			classes;
	int			names_capacity;
	LabelSet   *sets;
	int			set_count;
	int			sets_capacity;
	int64	   *class_rows;		/* [classes], made by label_sets_finish() */
};

/* The number of a byte string, counting up from `next` for new ones. */
static int32
label_set_intern(LabelSets *sets, struct intern_hash *table, const void *data, int bytes, int32 next)
{
	InternKey	key;
	InternEntry *entry;
	bool		found;

	key.data = data;
	key.bytes = bytes;
	entry = intern_insert(table, key, &found);
	if (!found)
	{
		/* One more byte, so that names are strings and no size is zero. */
		char	   *copy = MemoryContextAlloc(sets->context, (Size) bytes + 1);

		memcpy(copy, data, bytes);
		copy[bytes] = '\0';
		entry->key.data = copy;
		entry->number = next;
	}
	return entry->number;
}

/* The stored copy that label_set_intern() made of a string it has just seen. */
static const char *
label_set_interned(struct intern_hash *table, const void *data, int bytes)
{
	InternKey	key;

	key.data = data;
	key.bytes = bytes;
	return intern_lookup(table, key)->key.data;
}

LabelSets *
label_sets_create(void)
{
	LabelSets  *sets = palloc0(sizeof(LabelSets));
	int32		none;

	sets->context = CurrentMemoryContext;
	sets->name_numbers = intern_create(CurrentMemoryContext, 64, NULL);
	sets->set_numbers = intern_create(CurrentMemoryContext, 64, NULL);
	sets->names_capacity = 64;
	sets->names = palloc(sets->names_capacity * sizeof(char *));
	sets->sets_capacity = 64;
	sets->sets = palloc(sets->sets_capacity * sizeof(LabelSet));

	/* The first set is the empty one, LABEL_NO_CLASS, which no row is of yet. */
	none = label_sets_add(sets, NULL, 0);
	Assert(none == LABEL_NO_CLASS);
	sets->sets[none].rows = 0;
	return sets;
}

/* The number of the class of that name, a new one if need be. */
int32
label_sets_class(LabelSets *sets, const char *name, int bytes)
{
	int32		number = label_set_intern(sets, sets->name_numbers, name, bytes, sets->classes);

	if (number < sets->classes)
		return number;
	if (sets->classes == sets->names_capacity)
	{
		sets->names_capacity *= 2;
		sets->names = repalloc_huge(sets->names, sets->names_capacity * sizeof(char *));
	}
	sets->names[sets->classes++] = label_set_interned(sets->name_numbers, name, bytes);
	return number;
}

static int
label_set_compare_classes(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return (x > y) - (x < y);
}

/* Sort class numbers and drop repeated ones; returns how many are left. */
static int
label_set_sort_unique(int32 *classes, int count)
{
	int			kept = 0;
	int			i;

	if (count > 1)
		qsort(classes, count, sizeof(int32), label_set_compare_classes);
	for (i = 0; i < count; i++)
	{
		if (kept == 0 || classes[i] != classes[kept - 1])
			classes[kept++] = classes[i];
	}
	return kept;
}

/* The number of the set of these classes, and one more row of it; reorders them. */
int32
label_sets_add(LabelSets *sets, int32 *classes, int count)
{
	int32		number;
	int			bytes;

	count = label_set_sort_unique(classes, count);
	bytes = count * sizeof(int32);
	number = label_set_intern(sets, sets->set_numbers, count > 0 ? (const void *) classes : "",
							  bytes, sets->set_count);
	if (number == sets->set_count)
	{
		LabelSet   *set;

		if (sets->set_count == sets->sets_capacity)
		{
			sets->sets_capacity *= 2;
			sets->sets = repalloc_huge(sets->sets, sets->sets_capacity * sizeof(LabelSet));
		}
		set = &sets->sets[sets->set_count++];
		set->count = count;
		set->rows = 0;
		set->classes = MemoryContextAlloc(sets->context, bytes + 1);
		if (count > 0)
			memcpy(set->classes, classes, bytes);
	}
	sets->sets[number].rows++;
	return number;
}

static int
label_set_compare_names(const void *a, const void *b)
{
	return strcmp(**(const char **const *) a, **(const char **const *) b);
}

/* Names that are all decimal numbers of 64 bits. */
static int
label_set_compare_numbers(const void *a, const void *b)
{
	long long	x = strtoll(**(const char **const *) a, NULL, 10);
	long long	y = strtoll(**(const char **const *) b, NULL, 10);

	return (x > y) - (x < y);
}

/* Renumber classes by the byte order of their names, or by their value, in every set. */
static void
label_set_order_names(LabelSets *sets, bool numbers)
{
	const char ***order;
	const char **names;
	int32	   *new_number;
	int			i;
	int			c;

	order = palloc_extended(sets->classes * sizeof(char **), MCXT_ALLOC_HUGE);
	names = palloc_extended(sets->classes * sizeof(char *), MCXT_ALLOC_HUGE);
	new_number = palloc_extended(sets->classes * sizeof(int32), MCXT_ALLOC_HUGE);
	for (i = 0; i < sets->classes; i++)
		order[i] = &sets->names[i];
	qsort(order, sets->classes, sizeof(*order), numbers ? label_set_compare_numbers : label_set_compare_names);
	for (i = 0; i < sets->classes; i++)
	{
		names[i] = *order[i];
		new_number[order[i] - sets->names] = i;
	}
	for (i = 0; i < sets->set_count; i++)
	{
		for (c = 0; c < sets->sets[i].count; c++)
			sets->sets[i].classes[c] = new_number[sets->sets[i].classes[c]];
		(void) label_set_sort_unique(sets->sets[i].classes, sets->sets[i].count);
	}
	pfree(order);
	pfree(new_number);
	pfree(sets->names);
	sets->names = names;
}

/* Number the classes for good; vector_length is their count where they have no names. */
void
label_sets_finish(LabelSets *sets, int vector_length, bool numbers)
{
	MemoryContext old_context = MemoryContextSwitchTo(sets->context);
	int			i;
	int			c;

	Assert(sets->class_rows == NULL);
	if (sets->classes > 0)
		label_set_order_names(sets, numbers);
	else
	{
		sets->names = NULL;
		sets->classes = vector_length;
	}
	sets->class_rows = palloc_extended(sizeof(int64) * Max(sets->classes, 1),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (i = 0; i < sets->set_count; i++)
	{
		for (c = 0; c < sets->sets[i].count; c++)
			sets->class_rows[sets->sets[i].classes[c]] += sets->sets[i].rows;
	}
	MemoryContextSwitchTo(old_context);
}

static const LabelSets *
label_set_of(const Labels *labels)
{
	return ((const LabelsHead *) labels)->sets;
}

int
labels_classes(const Labels *labels)
{
	return label_set_of(labels)->classes;
}

const char *
labels_class_name(const Labels *labels, int class_number)
{
	const LabelSets *sets = label_set_of(labels);

	Assert(class_number >= 0 && class_number < sets->classes);
	return sets->names == NULL ? NULL : sets->names[class_number];
}

int64
labels_class_rows(const Labels *labels, int class_number)
{
	const LabelSets *sets = label_set_of(labels);

	Assert(class_number >= 0 && class_number < sets->classes);
	return sets->class_rows[class_number];
}

int
labels_set(const Labels *labels, int32 set, const int32 **classes)
{
	const LabelSets *sets = label_set_of(labels);

	Assert(set >= 0 && set < sets->set_count);
	*classes = sets->sets[set].classes;
	return sets->sets[set].count;
}

void
labels_eval_sets(const Labels *labels, MemoryContext context, EvalSets *sets)
{
	const LabelSets *from = label_set_of(labels);
	int64	   *start = MemoryContextAllocHuge(context, ((Size) from->set_count + 1) * sizeof(int64));
	int32	   *class_number;
	int			s;

	start[0] = 0;
	for (s = 0; s < from->set_count; s++)
		start[s + 1] = start[s] + from->sets[s].count;
	class_number = MemoryContextAllocHuge(context, (Size) (start[from->set_count] + 1) * sizeof(int32));
	for (s = 0; s < from->set_count; s++)
		memcpy(class_number + start[s], from->sets[s].classes, from->sets[s].count * sizeof(int32));
	sets->classes = from->classes;
	sets->sets = from->set_count;
	sets->start = start;
	sets->class_number = class_number;
}

void
labels_multi_hot(const Labels *labels, int32 set, uint8 *row)
{
	const int32 *classes;
	int			count = labels_set(labels, set, &classes);
	int			i;

	memset(row, 0, labels_classes(labels));
	for (i = 0; i < count; i++)
		row[classes[i]] = 1;
}
