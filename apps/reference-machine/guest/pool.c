/* A visit is counted when it is whole: a machine that is stopped in the middle of one has at most that page torn. */
#include "pool.h"
#include "evidence.h"
#include "status.h"

#define POOL_MAX_BYTES 0x20000000u

static u32 first;
static u32 pages;
static u32 next;
static u32 pass = 1;

static u32 pool_offset(u32 ram_bytes) { return (ram_bytes / 2 + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1u); }

u32 pool_room(u32 ram_bytes) {
  u32 bytes = ram_bytes - pool_offset(ram_bytes);
  if (bytes > POOL_MAX_BYTES) bytes = POOL_MAX_BYTES;
  return bytes / PAGE_BYTES;
}

u32 pool_start(u32 ram_bytes, u32 page_count) {
  u32 offset = pool_offset(ram_bytes);
  first = RAM_BASE + offset;
  pages = page_count;
  status_set(STATUS_BLOCK_POOL_OFFSET, offset);
  status_set(STATUS_BLOCK_POOL_PAGES, pages);
  return first + pages * PAGE_BYTES;
}

static void count_visit(void) {
  u32 visits = status_get(STATUS_BLOCK_POOL_VISITS_LOW) + 1;
  if (visits == 0) status_add(STATUS_BLOCK_POOL_VISITS_HIGH, 1);
  status_set(STATUS_BLOCK_POOL_VISITS_LOW, visits);
}

void pool_visit(u32 number) {
  evidence_page(first + next * PAGE_BYTES, pass, number);
  if (++next == pages) {
    next = 0;
    pass++;
  }
  count_visit();
}
