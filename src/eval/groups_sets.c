/*
 * eval/groups_sets.c: union-find over the distinct codes, in bounded memory.
 *
 * Each code has four bytes, its entry: twice the number of its parent; plus 1,
 * of a root, if its set has more than one row.  They are looked up anywhere, for
 * each pair.  What does not fit stands in a temporary file, in blocks, of which
 * memory holds some: entry i is at i modulo their number, a power of two.  So
 * where all fit nothing is ever moved, and looking one up is a mask and a
 * comparison.  Else it is mostly near the last: neighbours have near numbers.
 */
#include "eval/groups.h"

#include "utils/memutils.h"

/* Entries of a block. */
#define SETS_BLOCK 128

#define SETS_BLOCK_BYTES (SETS_BLOCK * sizeof(uint32))

void *
groups_enlarge(void *array, Size count, Size size)
{
	return array == NULL ? palloc_extended(count * size, MCXT_ALLOC_HUGE) :
		repalloc_huge(array, count * size);
}

/*
 * Entries that may be in memory.  Hash tables have more than work_mem, as files
 * cost them more than they cost a sort, and so it is here: all but the rest's
 * work_mem, at least a share of that.
 */
static uint32
sets_limit(void)
{
	Size		hash_memory = get_hash_memory_limit();
	Size		others = (Size) work_mem * 1024;
	Size		memory = Max((Size) groups_memory(4) * 1024, hash_memory - Min(hash_memory, others));
	uint32		limit = SETS_BLOCK;

	while (limit <= GROUPS_MAX_CODES && (Size) limit * 2 * sizeof(uint32) <= memory)
		limit *= 2;
	return limit;
}

static void
sets_seek(const Groups *groups, uint32 block)
{
	if (BufFileSeek(groups->set_file, 0, (off_t) block * SETS_BLOCK_BYTES, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file: %m")));
}

static void
sets_write(Groups *groups, uint32 slot)
{
	if (!groups->set_changed[slot])
		return;
	sets_seek(groups, groups->set_block[slot]);
	BufFileWrite(groups->set_file, groups->set + (Size) slot * SETS_BLOCK, SETS_BLOCK_BYTES);
	groups->set_changed[slot] = false;
}

/* The entry of a code; it may be elsewhere after the next call. */
static inline uint32 *
sets_entry(Groups *groups, uint32 code)
{
	uint32		place = code & (groups->set_capacity - 1);
	uint32		slot = place / SETS_BLOCK;

	if (unlikely(groups->set_block[slot] != code / SETS_BLOCK))
	{
		CHECK_FOR_INTERRUPTS();
		sets_write(groups, slot);
		groups->set_block[slot] = code / SETS_BLOCK;
		sets_seek(groups, groups->set_block[slot]);
		BufFileReadExact(groups->set_file, groups->set + (Size) slot * SETS_BLOCK, SETS_BLOCK_BYTES);
	}
	return groups->set + place;
}

static inline void
sets_store(Groups *groups, uint32 code, uint32 entry)
{
	*sets_entry(groups, code) = entry;
	groups->set_changed[(code & (groups->set_capacity - 1)) / SETS_BLOCK] = true;
}

/* Room for the block that begins with the next code. */
static void
sets_add_block(Groups *groups)
{
	uint32		slot;

	if (groups->codes == groups->set_capacity && groups->set_capacity < sets_limit())
	{
		groups->set_capacity = Max(SETS_BLOCK, groups->set_capacity * 2);
		groups->set = groups_enlarge(groups->set, groups->set_capacity, sizeof(uint32));
		groups->set_block = groups_enlarge(groups->set_block, groups->set_capacity / SETS_BLOCK, sizeof(uint32));
		groups->set_changed = groups_enlarge(groups->set_changed, groups->set_capacity / SETS_BLOCK, sizeof(bool));
	}
	slot = (groups->codes & (groups->set_capacity - 1)) / SETS_BLOCK;
	if (groups->codes >= groups->set_capacity)
	{
		if (groups->set_file == NULL)
			groups->set_file = BufFileCreateTemp(false);
		sets_write(groups, slot);
	}
	groups->set_block[slot] = groups->codes / SETS_BLOCK;
}

void
groups_add_set(Groups *groups)
{
	if (groups->codes % SETS_BLOCK == 0)
		sets_add_block(groups);
	sets_store(groups, groups->codes, groups->codes << 1);
	groups->codes++;
}

void
groups_add_row(Groups *groups)
{
	sets_store(groups, groups->codes - 1, (groups->codes - 1) << 1 | 1);
}

void
groups_end_sets(Groups *groups)
{
	uint32		slots = groups->set_capacity / SETS_BLOCK;
	uint32		blocks = (groups->codes + SETS_BLOCK - 1) / SETS_BLOCK;

	groups->sets = groups->codes;
	/* From here on blocks leave in any order, so the file must have them all: it cannot be written far beyond its end. */
	if (groups->set_file)
		for (uint32 block = blocks - slots; block < blocks; block++)
			sets_write(groups, block % slots);
}

/* The path to the representative is halved on the way. */
uint32
groups_find(Groups *groups, uint32 code)
{
	for (;;)
	{
		uint32		parent = *sets_entry(groups, code) >> 1;
		uint32		grandparent;

		if (parent == code)
			return code;
		grandparent = *sets_entry(groups, parent) >> 1;
		if (grandparent == parent)
			return parent;
		sets_store(groups, code, grandparent << 1);
		code = grandparent;
	}
}

bool
groups_has_rows(Groups *groups, uint32 root)
{
	return *sets_entry(groups, root) & 1;
}

/* The lower number represents both: with halved paths, sets need no ranks. */
uint32
groups_join(Groups *groups, uint32 set, uint32 code)
{
	uint32		other = groups_find(groups, code);
	uint32		lower = Min(set, other);

	if (set == other)
		return set;
	sets_store(groups, Max(set, other), lower << 1);
	sets_store(groups, lower, lower << 1 | 1);
	groups->sets--;
	return lower;
}

void
groups_free_sets(Groups *groups)
{
	pfree(groups->set);
	pfree(groups->set_block);
	pfree(groups->set_changed);
	if (groups->set_file)
		BufFileClose(groups->set_file);
}
