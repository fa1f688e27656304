/* Errors are told three ways: counted in the status block, kept there (the first), and printed. */
#include "status.h"

void print(const char *text) {
  while (*text) write8(CONSOLE_BASE, (u8)*text++);
}

void print_decimal(u32 value) {
  char digits[11];
  u32 at = sizeof digits - 1;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  print(&digits[at]);
}

void print_hex(u32 value, u32 digits) {
  while (digits--) {
    u32 nibble = value >> (4 * digits) & 15;
    write8(CONSOLE_BASE, (u8)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10));
  }
}

void error(u32 code, u32 detail) {
  if (status_get(STATUS_BLOCK_ERROR_COUNT) == 0) {
    status_set(STATUS_BLOCK_ERROR_CODE, code);
    status_set(STATUS_BLOCK_ERROR_DETAIL, detail);
  }
  status_add(STATUS_BLOCK_ERROR_COUNT, 1);
  print("godwit guest: error ");
  print_decimal(code);
  print(" detail 0x");
  print_hex(detail, 8);
  print("\n");
}

void fatal(u32 code, u32 detail) {
  interrupts_off();
  error(code, detail);
  status_set(STATUS_BLOCK_STAGE, STAGE_HALTED);
  print("godwit guest: halted\n");
  __asm__ volatile("csrw mie, zero");
  for (;;) wait_for_interrupt();
}
