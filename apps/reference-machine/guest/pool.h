/* The pool of pages that the guest keeps dirtying, round and round, at a given rate. */
#ifndef POOL_H
#define POOL_H

#include "base.h"

/* How many pages it could have: the upper half of RAM, 512 MiB of it at most. */
u32 pool_room(u32 ram_bytes);
/* Takes so many of them, the first ones. Answers the address of what is behind them. */
u32 pool_start(u32 ram_bytes, u32 page_count);
/* Marks the next page; `number` is the last block submitted. */
void pool_visit(u32 number);

#endif
