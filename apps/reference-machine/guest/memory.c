/* Copying and filling, and the two functions that a compiler may call of its own accord. */
#include "base.h"

void copy_bytes(volatile void *to, const void *from, u32 bytes) {
  volatile u8 *target = to;
  const u8 *source = from;
  while (bytes--) *target++ = *source++;
}

void fill_words(volatile void *to, u32 value, u32 words) {
  volatile u32 *target = to;
  while (words--) *target++ = value;
}

void *memcpy(void *to, const void *from, u32 bytes) {
  copy_bytes(to, from, bytes);
  return to;
}

void *memset(void *to, int value, u32 bytes) {
  volatile u8 *target = to;
  while (bytes--) *target++ = (u8)value;
  return to;
}
