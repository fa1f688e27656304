/* Exercises the hart: sorting, checksums, 64-bit arithmetic, every access width, recursion, and timer interrupts whose
   count becomes part of what it says. It writes results to a port, and ends by writing to the port after it. */
#include "base.h"

#define PORT 0x10000000
#define COUNT 512

static u32 numbers[COUNT];
static u8 bytes[COUNT];
static volatile u32 interrupts;

void trap(u32 cause, u32 pc, u32 value) {
  if (cause == 0x80000007) {
    interrupts++;
    write32(PORT + 8, interrupts); /* lowers the line */
    return;
  }
  write32(PORT, cause ^ pc ^ value);
  for (;;) wait_for_interrupt();
}

static void say(u32 value) { write32(PORT, value); }

static void sort(u32 *values, int low, int high) {
  if (low >= high) return;
  u32 pivot = values[(low + high) / 2];
  int left = low, right = high;
  while (left <= right) {
    while (values[left] < pivot) left++;
    while (values[right] > pivot) right--;
    if (left <= right) {
      u32 kept = values[left];
      values[left++] = values[right];
      values[right--] = kept;
    }
  }
  sort(values, low, right);
  sort(values, left, high);
}

static u32 crc(const u8 *data, u32 count) {
  u32 value = ~0u;
  while (count--) {
    value ^= *data++;
    for (u32 bit = 0; bit < 8; bit++) value = value >> 1 ^ (0xedb88320 & -(value & 1));
  }
  return ~value;
}

static u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static void arithmetic(u32 seed) {
  u64 product = 1;
  int quotients = 0;
  for (u32 step = 1; step < 40; step++) {
    product = product * (seed | 1) + step;
    long long wide = (long long)(int)seed * (int)(product >> 32);
    quotients += (int)seed / (int)step - (int)seed % (int)step + (int)(wide >> 32);
    seed = seed / step ^ seed % step << 16 ^ (u32)product;
  }
  say((u32)product);
  say((u32)(product >> 32));
  say((u32)quotients);
}

static void widths(void) {
  volatile signed char *chars = (volatile signed char *)bytes;
  volatile short *shorts = (volatile short *)bytes;
  int sum = 0;
  for (u32 index = 0; index < COUNT / 2; index++) {
    shorts[index] = (short)(shorts[index] * 3 + chars[index]);
    sum += shorts[index] ^ chars[COUNT - 1 - index];
  }
  say((u32)sum);
}

void guest_main(u32 seed, u32 rounds) {
  __asm__ volatile("csrw mie, %0" ::"r"(0x80));
  interrupts_on();
  for (u32 round = 0; round < rounds; round++) {
    for (u32 index = 0; index < COUNT; index++) {
      seed ^= seed << 13;
      seed ^= seed >> 17;
      seed ^= seed << 5;
      numbers[index] = seed;
      bytes[index] = (u8)(seed >> 9);
    }
    sort(numbers, 0, COUNT - 1);
    for (u32 index = 1; index < COUNT; index++) {
      if (numbers[index - 1] > numbers[index]) say(0xbad);
    }
    say(crc((const u8 *)numbers, sizeof numbers));
    arithmetic(seed);
    widths();
    say(fibonacci(10));
    wait_for_interrupt();
    say(interrupts);
  }
  write32(PORT + 4, interrupts);
}
