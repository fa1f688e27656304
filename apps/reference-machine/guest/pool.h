/* The pool of pages that the guest keeps dirtying, round and round, at a given rate. */
#ifndef POOL_H
#define POOL_H

#include "base.h"

/* The upper half of RAM, 512 MiB of it at most. */
void pool_start(u32 ram_bytes);
/* Marks the next page; `number` is the last block submitted. */
void pool_visit(u32 number);

#endif
