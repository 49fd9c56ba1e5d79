/*
 * dump.h: what a program hands to its NumPy reference, as a file of named arrays.
 */
#ifndef DUMP_H
#define DUMP_H

#include <stdio.h>
#include <stdlib.h>

/* An array under a name, as reference.py reads it: d double, b bytes, else of four bytes. */
static inline void
dump(FILE *file, const char *name, char type, const void *data, size_t count)
{
	size_t		size = type == 'd' ? 8 : type == 'b' ? 1 : 4;

	fprintf(file, "%s %c %zu\n", name, type, count);
	if (fwrite(data, size, count, file) != count)
		abort();
}

static inline void
dump_number(FILE *file, const char *name, double value)
{
	dump(file, name, 'd', &value, 1);
}

#endif							/* DUMP_H */
