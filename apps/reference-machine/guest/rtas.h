/* RTAS: calls of the platform's firmware, by the machine's doorbell. */
#ifndef RTAS_H
#define RTAS_H

#include "base.h"

#define RTAS_SUCCESS 0
#define RTAS_ARGUMENTS_MAX 8

/* Memory that firmware fills is big-endian. */
static inline u32 from_big_endian(u32 value) { return __builtin_bswap32(value); }
static inline u32 to_big_endian(u32 value) { return __builtin_bswap32(value); }

/* Calls with the given arguments, and answers the call's status. */
int rtas_call(u32 token, const u32 *arguments, u32 count);

/* Counts a status that the call must not give. */
void rtas_unexpected(u32 token, int status);

#endif
