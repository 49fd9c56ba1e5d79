/*
 * server/memory.h: how much memory there is.
 */
#ifndef MEMORY_H
#define MEMORY_H

/* Bytes that can be had now without anybody being killed for it, and that the setting allows. */
extern double memory_available(void);

#endif							/* MEMORY_H */
