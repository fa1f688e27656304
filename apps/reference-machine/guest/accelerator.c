/* The device puts a job's number and the checksum of all jobs where the driver says, and its work into a page of its own
   memory. Source: src/devices/accelerator.ts. */
#include "accelerator.h"
#include "dma.h"
#include "interrupt.h"
#include "pci.h"
#include "status.h"

#define DOMAIN 7
#define WINDOW 0x0c070000
#define MEMORY_BAR 0
#define REGISTER_BAR 2
#define RESULTS 4
#define RESULT_BYTES 8
#define PAGES (ACCELERATOR_MEMORY_BYTES / ACCELERATOR_PAGE_BYTES)

static struct pci_function function;
static struct dma_space space;
static struct dma_page results;
static u32 checksum;
static u32 last_completed;
static bool waiting;

void accelerator_open(bool use_iommu) {
  pci_open(&function, ACCELERATOR_VENDOR, ACCELERATOR_DEVICE);
  if (function.bar_bytes[MEMORY_BAR] < ACCELERATOR_MEMORY_BYTES || !function.bars[REGISTER_BAR]) {
    fatal(ERROR_PCI_BAR, function.requester);
  }
  dma_space_open(&space, use_iommu, DOMAIN, WINDOW, function.requester);
}

void accelerator_start(void) {
  results = dma_page_new(&space, VTD_WRITE);
  pci_msix_start(&function, 1, IRQ_ACCELERATOR);
}

static volatile u32 *result_of(u32 number) {
  return (volatile u32 *)((u8 *)results.memory + RESULT_BYTES * (number % RESULTS));
}

bool accelerator_ready(void) {
  return status_get(STATUS_BLOCK_JOBS_SUBMITTED) - status_get(STATUS_BLOCK_JOBS_COMPLETED) < RESULTS;
}

void accelerator_submit(u32 number) {
  result_of(number)[0] = 0;
  status_set(STATUS_BLOCK_JOBS_SUBMITTED, number);
  barrier();
  write32(function.bars[REGISTER_BAR] + ACCELERATOR_DOORBELL, results.address + RESULT_BYTES * (number % RESULTS));
}

/* What the job has written into device memory; the device counts its jobs from 0. */
static bool is_work_right(u32 job) {
  u32 page = function.bars[MEMORY_BAR] + job * 7 % PAGES * ACCELERATOR_PAGE_BYTES;
  u32 step = 1 + (job & 7);
  u32 value = job * 31;
  for (u32 at = 0; at < ACCELERATOR_PAGE_BYTES; at += 4) {
    u32 wanted = 0;
    for (u32 byte = 0; byte < 32; byte += 8, value += step) wanted |= (value & 0xff) << byte;
    if (read32(page + at) != wanted) return false;
  }
  return true;
}

static void check(u32 number) {
  checksum = checksum * 33 + (number - 1);
  const volatile u32 *result = result_of(number);
  if (result[0] == number && result[1] == checksum && is_work_right(number - 1)) return;
  status_add(STATUS_BLOCK_JOBS_WRONG, 1);
  error(ERROR_JOB_RESULT, number);
}

static bool has_result(void) {
  u32 next = status_get(STATUS_BLOCK_JOBS_COMPLETED) + 1;
  return next <= status_get(STATUS_BLOCK_JOBS_SUBMITTED) && result_of(next)[0] != 0;
}

void accelerator_reap(void) {
  while (has_result()) {
    u32 number = status_get(STATUS_BLOCK_JOBS_COMPLETED) + 1;
    check(number);
    status_set(STATUS_BLOCK_JOBS_COMPLETED, number);
  }
  /* One that was done twice would have been counted by the device. */
  if (read32(function.bars[REGISTER_BAR] + ACCELERATOR_JOBS) > status_get(STATUS_BLOCK_JOBS_SUBMITTED)) {
    status_add(STATUS_BLOCK_JOBS_WRONG, 1);
    error(ERROR_JOB_RESULT, status_get(STATUS_BLOCK_JOBS_SUBMITTED) + 1);
  }
}

bool accelerator_interrupt_lost(void) {
  u32 completed = status_get(STATUS_BLOCK_JOBS_COMPLETED);
  bool has = has_result();
  bool lost = has && waiting && completed == last_completed;
  waiting = has && !lost;
  last_completed = completed;
  return lost;
}
