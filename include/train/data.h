/*
 * train/data.h: the training rows, from a relation to the trainer's batches.
 */
#ifndef TRAIN_DATA_H
#define TRAIN_DATA_H

#include "model/model.h"

#include "model/label.h"
#include "storage/fd.h"

/* train/options.c */
extern const TrainMethod *train_options_method(const char *name);
extern void train_options_read(Jsonb *json, const TrainMethod *method, int bits, TrainOptions *options);
extern char *train_options_write(const TrainOptions *options);

/* One training pair: where its record is, and its place in the canonical order. */
typedef struct TrainRow
{
	uint64		hash;			/* of the record, later of the labels too */
	union
	{
		const char *memory;
		int64		offset;		/* in the temporary file */
	}			where;
	uint32		bytes:31;
	uint32		spilled:1;
	int32		labels;			/* label set */
} TrainRow;

typedef struct TrainRows TrainRows;

/* train/rows.c: rows kept in memory up to a limit, beyond it in a file. */
extern TrainRows *train_rows_create(MemoryContext context, int64 memory_limit);
extern void train_rows_add(TrainRows *rows, const int dimensions[2], float *const values[2],
						   int32 labels);
extern int	train_rows_count(const TrainRows *rows);
extern int64 train_rows_spilled(const TrainRows *rows);
extern TrainRow *train_rows_entries(TrainRows *rows);
extern void train_rows_sort(TrainRows *rows, const Labels *labels);
extern const char *train_rows_read(TrainRows *rows, const TrainRow *row, char *buffer);
extern uint32 train_rows_longest(const TrainRows *rows);
extern double train_rows_nonzeros(const TrainRows *rows, Modality modality);

/*
 * A record: how many values each side lists, or -1 for a dense side; then the
 * image's columns and values, or all its values, then the text's likewise.
 */
typedef struct TrainRecord
{
	int			listed[2];		/* -1: dense */
	const int32_t *column[2];
	const float *value[2];
} TrainRecord;

extern void train_record_parse(const char *data, const int dimensions[2], TrainRecord *record);

/* What to read. */
typedef struct TrainSource
{
	Oid			relation;
	char	   *relation_name;	/* qualified and quoted */
	NameData	feature_column[2];
	NameData	label_column;	/* empty: none */
} TrainSource;

/* The training set, ready for a trainer. */
typedef struct TrainData
{
	MemoryContext context;
	const TrainSource *source;
	TrainRows  *rows;
	Labels	   *labels;			/* NULL: none */
	int			classes;
	int			dimensions[2];
	bool		sparse[2];		/* how batches are handed to the trainer */
	int			scales[2];		/* 1 or dimensions */
	float	   *shift[2];
	float	   *scale[2];
	int64		digest;
	int64		read;			/* rows of the relation */
	int64		without_side;	/* left out: a NULL side */
	int64		zero_side[2];	/* left out: an all-zero side */
	int64		without_label;	/* left out: no class */

	/* Numbers of the rows in canonical order. */
	int32_t    *training;
	int			training_count;
	int32_t    *validation;
	int			validation_count;

	/* Work space of fetches, grown to the largest batch. */
	int			batch_capacity;
	float	   *dense[2];
	int32_t    *row_start[2];
	int32_t    *column[2];
	float	   *value[2];
	size_t		list_capacity[2];
	uint8	   *multi_hot;
	char	   *record;
} TrainData;

/* train/source.c: read, check and order the rows. */
extern void train_data_read(TrainData *data, const TrainSource *source,
							const TrainOptions *options, MemoryContext context);

/* train/batch.c: scales, the split, and batches. */
extern void train_data_split(TrainData *data, const TrainOptions *options);
extern void train_data_scale(TrainData *data, const TrainOptions *options);
extern void train_data_source(TrainData *data, BatchSource *source);
extern void train_data_fetch(TrainData *data, const int32_t *numbers, int count,
							 Features features[2], const uint8_t **labels);

#endif							/* TRAIN_DATA_H */
