/*
 * train/rows.c: the rows of a training set, in memory up to a limit and in a
 * temporary file beyond it.
 *
 * Training visits rows in random order, so a row is stored as one record that
 * is read in one piece, and in whichever form is shorter on each side: all
 * values, or the columns and values of the non-zeros.  The first rows read
 * stay in memory and later ones go to the file; where a row lies changes
 * nothing that is computed from it.  Only the entries (24 bytes a row) grow
 * without bound.
 *
 * The file is one plain temporary file that outlives transactions, because
 * training commits every epoch.  It is not a BufFile, since closing one of
 * those flushes its buffer, which may fail, and it is closed here from a
 * memory context's reset, also in the middle of an abort.
 */
#include "train/data.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define BLOCK_BYTES (1024 * 1024)
#define RECORD_ALIGN(size) (((size) + 7) & ~(size_t) 7)

struct TrainRows
{
	MemoryContext context;
	MemoryContextCallback callback;
	int64		memory_limit;
	int64		memory_used;
	char	   *block;			/* the block being filled */
	size_t		block_left;
	File		file;			/* 0: none yet */
	int64		file_bytes;		/* written and buffered */
	char	   *buffer;			/* [BLOCK_BYTES] of what comes next in the file */
	size_t		buffered;
	uint32		longest;
	double		nonzeros[2];
	int			count;
	int			capacity;
	TrainRow   *entries;
	char	   *scratch;		/* the record being made */
	size_t		scratch_capacity;
};

/* Closing deletes the file; nothing is flushed, so nothing can fail. */
static void
rows_close_file(void *argument)
{
	TrainRows  *rows = argument;

	if (rows->file > 0)
		FileClose(rows->file);
	rows->file = 0;
}

TrainRows *
train_rows_create(MemoryContext context, int64 memory_limit)
{
	TrainRows  *rows = MemoryContextAllocZero(context, sizeof(TrainRows));

	rows->context = context;
	rows->memory_limit = memory_limit;
	rows->capacity = 1024;
	rows->entries = MemoryContextAlloc(context, rows->capacity * sizeof(TrainRow));
	rows->callback.func = rows_close_file;
	rows->callback.arg = rows;
	MemoryContextRegisterResetCallback(context, &rows->callback);
	return rows;
}

int
train_rows_count(const TrainRows *rows)
{
	return rows->count;
}

/* Bytes in the temporary file. */
int64
train_rows_spilled(const TrainRows *rows)
{
	return rows->file_bytes;
}

TrainRow *
train_rows_entries(TrainRows *rows)
{
	return rows->entries;
}

uint32
train_rows_longest(const TrainRows *rows)
{
	return rows->longest;
}

double
train_rows_nonzeros(const TrainRows *rows, Modality modality)
{
	return rows->nonzeros[modality];
}

static void
rows_write(TrainRows *rows, const char *data, size_t size, int64 offset)
{
	if (FileWrite(rows->file, (char *) data, size, offset, WAIT_EVENT_BUFFILE_WRITE) != (int) size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write training rows to temporary file \"%s\": %m",
						FilePathName(rows->file)),
				 errhint("The setting xmhash.train_work_mem says how much is kept in memory instead.")));
}

static void
rows_flush(TrainRows *rows)
{
	if (rows->buffered > 0)
		rows_write(rows, rows->buffer, rows->buffered, rows->file_bytes - rows->buffered);
	rows->buffered = 0;
}

/* Append a record to the file, through the buffer; returns its offset. */
static int64
rows_spill(TrainRows *rows, const char *record, size_t size)
{
	int64		offset = rows->file_bytes;

	if (rows->file <= 0)
	{
		rows->buffer = MemoryContextAlloc(rows->context, BLOCK_BYTES);
		rows->file = OpenTemporaryFile(true);
	}
	if (rows->buffered + size > BLOCK_BYTES)
		rows_flush(rows);
	rows->file_bytes += size;
	if (size > BLOCK_BYTES)
		rows_write(rows, record, size, offset);
	else
	{
		memcpy(rows->buffer + rows->buffered, record, size);
		rows->buffered += size;
	}
	return offset;
}

/* Copy a record to the memory blocks; a long one gets a block of its own. */
static const char *
rows_keep(TrainRows *rows, const char *record, size_t size)
{
	char	   *to;

	if (size > BLOCK_BYTES / 4)
		to = MemoryContextAlloc(rows->context, size);
	else
	{
		if (rows->block_left < size)
		{
			rows->block = MemoryContextAlloc(rows->context, BLOCK_BYTES);
			rows->block_left = BLOCK_BYTES;
		}
		to = rows->block;
		rows->block += size;
		rows->block_left -= size;
	}
	rows->memory_used += size;
	memcpy(to, record, size);
	return to;
}

/* One side [dimensions] of a record; returns how many values are listed. */
static int
record_write_side(char **to, int dimensions, const float *values, int nonzeros)
{
	int32	   *column = (int32 *) *to;
	float	   *value = (float *) (column + nonzeros);
	int			listed = 0;
	int			i;

	/* A listed value takes twice the bytes of one in place. */
	if (2 * (int64) nonzeros >= dimensions)
	{
		memcpy(*to, values, dimensions * sizeof(float));
		*to += dimensions * sizeof(float);
		return -1;
	}
	for (i = 0; i < dimensions; i++)
	{
		if (values[i] != 0)
		{
			column[listed] = i;
			value[listed++] = values[i];
		}
	}
	*to += nonzeros * (sizeof(int32) + sizeof(float));
	return nonzeros;
}

static int
record_count_nonzeros(float *values, int dimensions)
{
	int			nonzeros = 0;
	int			i;

	for (i = 0; i < dimensions; i++)
	{
		values[i] += 0.0f;		/* a negative zero is the same value: one form */
		nonzeros += values[i] != 0;
	}
	return nonzeros;
}

/* Store a pair: values[side] is [dimensions[side]]. */
void
train_rows_add(TrainRows *rows, const int dimensions[2], float *const values[2], int32 labels)
{
	size_t		max_bytes = 16 + ((size_t) dimensions[0] + dimensions[1]) * sizeof(float);
	TrainRow   *entry;
	int32	   *header;
	char	   *to;
	int			side;
	size_t		size;

	if (rows->count == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot train on more than %d pairs", PG_INT32_MAX)));
	if (rows->count == rows->capacity)
	{
		rows->capacity = rows->capacity > PG_INT32_MAX / 2 ? PG_INT32_MAX : 2 * rows->capacity;
		rows->entries = repalloc_huge(rows->entries, rows->capacity * sizeof(TrainRow));
	}
	if (rows->scratch_capacity < max_bytes)
	{
		rows->scratch = MemoryContextAllocZero(rows->context, max_bytes);
		rows->scratch_capacity = max_bytes;
	}

	header = (int32 *) rows->scratch;
	to = rows->scratch + 2 * sizeof(int32);
	for (side = 0; side < 2; side++)
	{
		int			nonzeros = record_count_nonzeros(values[side], dimensions[side]);

		header[side] = record_write_side(&to, dimensions[side], values[side], nonzeros);
		rows->nonzeros[side] += nonzeros;
	}
	size = to - rows->scratch;
	while (size != RECORD_ALIGN(size))
		rows->scratch[size++] = 0;

	entry = &rows->entries[rows->count++];
	entry->hash = hash_bytes_extended((unsigned char *) rows->scratch, size, 0);
	entry->bytes = size;
	entry->labels = labels;
	entry->spilled = rows->memory_used + (int64) size > rows->memory_limit;
	if (entry->spilled)
		entry->where.offset = rows_spill(rows, rows->scratch, size);
	else
		entry->where.memory = rows_keep(rows, rows->scratch, size);
	rows->longest = Max(rows->longest, size);
}

/* The record of a row, read into the buffer [train_rows_longest] if it must. */
const char *
train_rows_read(TrainRows *rows, const TrainRow *row, char *buffer)
{
	if (!row->spilled)
		return row->where.memory;
	if (rows->buffered > 0)
		rows_flush(rows);
	errno = 0;
	if (FileRead(rows->file, buffer, row->bytes, row->where.offset,
				 WAIT_EVENT_BUFFILE_READ) != (int) row->bytes)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read training rows from temporary file \"%s\": %m",
						FilePathName(rows->file))));
	return buffer;
}

void
train_record_parse(const char *data, const int dimensions[2], TrainRecord *record)
{
	const int32 *header = (const int32 *) data;
	int			side;

	data += 2 * sizeof(int32);
	for (side = 0; side < 2; side++)
	{
		record->listed[side] = header[side];
		record->column[side] = NULL;
		if (header[side] >= 0)
		{
			record->column[side] = (const int32_t *) data;
			data += header[side] * sizeof(int32);
		}
		record->value[side] = (const float *) data;
		data += (header[side] >= 0 ? header[side] : dimensions[side]) * sizeof(float);
	}
}

/*
 * Label sets are numbered in the order of reading, so content is compared by
 * the classes in them.
 */
static int
rows_compare_labels(const Labels *labels, int32 a, int32 b)
{
	const int32 *classes_a;
	const int32 *classes_b;
	int			count_a;
	int			count_b;
	int			i;

	if (labels == NULL || a == b)
		return 0;
	count_a = labels_set(labels, a, &classes_a);
	count_b = labels_set(labels, b, &classes_b);
	for (i = 0; i < count_a && i < count_b; i++)
	{
		if (classes_a[i] != classes_b[i])
			return classes_a[i] < classes_b[i] ? -1 : 1;
	}
	return count_a - count_b;
}

/* Sorting millions of rows takes seconds, so this looks for interrupts. */
static int
rows_compare_hashes(const void *a, const void *b)
{
	uint64		x = ((const TrainRow *) a)->hash;
	uint64		y = ((const TrainRow *) b)->hash;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y ? 1 : 0;
}

typedef struct ContentOrder
{
	TrainRows  *rows;
	const Labels *labels;
	char	   *buffer[2];
} ContentOrder;

static int
rows_compare_contents(const void *a, const void *b, void *argument)
{
	const TrainRow *x = a;
	const TrainRow *y = b;
	ContentOrder *order = argument;
	const char *content_x;
	const char *content_y;
	int			result;

	CHECK_FOR_INTERRUPTS();
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	content_x = train_rows_read(order->rows, x, order->buffer[0]);
	content_y = train_rows_read(order->rows, y, order->buffer[1]);
	result = memcmp(content_x, content_y, x->bytes);
	return result != 0 ? result : rows_compare_labels(order->labels, x->labels, y->labels);
}

/*
 * Put the rows in the order of their content: by hash, and where hashes are
 * equal by the content itself.  So results do not depend on where rows lie in
 * the table.  Rows equal in content too are interchangeable.
 */
void
train_rows_sort(TrainRows *rows, const Labels *labels)
{
	ContentOrder order;
	int			from;
	int			to;
	int			i;

	for (i = 0; labels != NULL && i < rows->count; i++)
	{
		const int32 *classes;
		int			count = labels_set(labels, rows->entries[i].labels, &classes);

		CHECK_FOR_INTERRUPTS();
		rows->entries[i].hash = hash_combine64(rows->entries[i].hash,
											   hash_bytes_extended((const unsigned char *) classes,
																   count * sizeof(int32), 1));
	}
	qsort(rows->entries, rows->count, sizeof(TrainRow), rows_compare_hashes);

	order.rows = rows;
	order.labels = labels;
	order.buffer[0] = MemoryContextAlloc(rows->context, Max(rows->longest, 1));
	order.buffer[1] = MemoryContextAlloc(rows->context, Max(rows->longest, 1));
	for (from = 0; from < rows->count; from = to)
	{
		CHECK_FOR_INTERRUPTS();
		for (to = from + 1; to < rows->count; to++)
		{
			if (rows->entries[to].hash != rows->entries[from].hash)
				break;
		}
		if (to - from > 1)
			qsort_arg(rows->entries + from, to - from, sizeof(TrainRow), rows_compare_contents, &order);
	}
}
