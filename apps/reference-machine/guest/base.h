/* Fixed-width types, device register access and the hart's own instructions. */
#ifndef BASE_H
#define BASE_H

#include "memory-map.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef _Bool bool;
#define true 1
#define false 0

_Static_assert(sizeof(u8) == 1 && sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8, "widths");
_Static_assert(sizeof(void *) == 4, "ilp32");

/* Orders everything before against everything after, memory and devices alike (RISC-V: I/O and RAM are ordered by
   fence only). */
static inline void barrier(void) { __asm__ volatile("fence iorw, iorw" ::: "memory"); }

static inline u8 read8(u32 address) { return *(volatile u8 *)address; }
static inline u16 read16(u32 address) { return *(volatile u16 *)address; }
static inline u32 read32(u32 address) { return *(volatile u32 *)address; }
static inline void write8(u32 address, u8 value) { *(volatile u8 *)address = value; }
static inline void write16(u32 address, u16 value) { *(volatile u16 *)address = value; }
static inline void write32(u32 address, u32 value) { *(volatile u32 *)address = value; }

/* Low half first: the registers that start something do so by a bit of their high half. */
static inline void write64(u32 address, u32 low, u32 high) {
  write32(address, low);
  write32(address + 4, high);
}

static inline void interrupts_on(void) { __asm__ volatile("csrsi mstatus, 8" ::: "memory"); }
static inline void interrupts_off(void) { __asm__ volatile("csrci mstatus, 8" ::: "memory"); }
static inline void wait_for_interrupt(void) { __asm__ volatile("wfi" ::: "memory"); }

void copy_bytes(volatile void *to, const void *from, u32 bytes);
void fill_words(volatile void *to, u32 value, u32 words);

#endif
