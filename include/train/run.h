/*
 * train/run.h: one training, while it runs.
 */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "train/data.h"

#include "portability/instr_time.h"

typedef struct Training
{
	MemoryContext context;		/* all of its memory */
	bool		atomic;			/* within a transaction block: no commits */
	Oid			function;		/* that was called */
	Oid			model;			/* invalid: not made yet */
	Oid			owner;			/* of the model, when it is resumed */
	ModelPlace	place;			/* where it is to be made */
	ModelRow	row;
	TrainSource source;
	TrainOptions options;
	TrainData	data;
	BatchSource batches;
	CoreEnv env;
	Trainer    *trainer;
	int			epochs_done;

	/* As they will be stored: after the last good epoch, and after the best. */
	ModelWeights good;
	float	   *best;			/* [good.count]; NULL: not kept */
	int			best_epoch;		/* 0: none yet */
	double		best_map;

	instr_time	started;		/* of the epochs of this run */
	instr_time	saved;			/* last checkpoint */
} Training;

/* train/memory.c */
extern void train_check_memory(const Training *training);
extern void train_report_sizes(const Training *training);

/*
 * train/epochs.c: commit, unless within a transaction block; do the epochs that
 * are left, and store the model.
 */
extern void train_commit(Training *training);
extern void train_run(Training *training);

/* train/checkpoint.c */
extern void train_checkpoint_save(Training *training, const ModelTable *table);
extern bool train_checkpoint_load(Training *training, const ModelTable *table);

/* train/validate.c */
extern double train_validate(Training *training);

#endif							/* TRAIN_RUN_H */
