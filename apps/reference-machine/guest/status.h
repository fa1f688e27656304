/* The status block in RAM, the console, and what to do about errors. */
#ifndef STATUS_H
#define STATUS_H

#include "base.h"

static inline u32 status_get(u32 field) { return read32(RAM_BASE + STATUS_BLOCK_OFFSET + field); }
static inline void status_set(u32 field, u32 value) { write32(RAM_BASE + STATUS_BLOCK_OFFSET + field, value); }
static inline void status_add(u32 field, u32 amount) { status_set(field, status_get(field) + amount); }

void print(const char *text);
void print_decimal(u32 value);
void print_hex(u32 value, u32 digits);

/* Counts an error, keeps the first one's code and detail, says it on the console, and goes on. */
void error(u32 code, u32 detail);

/* The same, and stops for good. */
_Noreturn void fatal(u32 code, u32 detail);

#endif
