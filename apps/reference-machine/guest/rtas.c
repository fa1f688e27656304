/* Source: PAPR 7.2.7 (argument call buffer). */
#include "rtas.h"
#include "status.h"

#define HEAD_WORDS 3
/* No call answers this: a doorbell that does nothing is noticed. */
#define UNANSWERED 0x7fffffff

static volatile u32 block[HEAD_WORDS + RTAS_ARGUMENTS_MAX + 1];

int rtas_call(u32 token, const u32 *arguments, u32 count) {
  volatile u32 *result = &block[HEAD_WORDS + count];
  block[0] = to_big_endian(token);
  block[1] = to_big_endian(count);
  block[2] = to_big_endian(1);
  for (u32 index = 0; index < count; index++) block[HEAD_WORDS + index] = to_big_endian(arguments[index]);
  *result = to_big_endian(UNANSWERED);
  barrier();
  write32(RTAS_BASE + RTAS_CALL, (u32)block);
  barrier();
  int status = (int)from_big_endian(*result);
  if (status == UNANSWERED) rtas_unexpected(token, status);
  return status;
}

void rtas_unexpected(u32 token, int status) { error(ERROR_RTAS_STATUS, token << 16 | ((u32)status & 0xffff)); }
