/* Source: Intel Virtualization Technology for Directed I/O, chapters 3 (translation), 5 (interrupt remapping), 6 (caching,
   queued invalidation), 9 (tables), 10 or 11 (registers). Every 64-bit register is reached as two halves; the bit that
   starts an operation is in the high one, but for the queue's tail. */
#include "vtd.h"
#include "dma.h"
#include "status.h"
#include "timer.h"

#define REGISTER_CAP 0x08
#define REGISTER_ECAP 0x10
#define REGISTER_GCMD 0x18
#define REGISTER_GSTS 0x1c
#define REGISTER_RTADDR 0x20
#define REGISTER_CCMD 0x28
#define REGISTER_FSTS 0x34
#define REGISTER_IQT 0x88
#define REGISTER_IQA 0x90
#define REGISTER_IRTA 0xb8

#define CAP_LOW_RWBF (1u << 4)
#define CAP_LOW_CACHING_MODE (1u << 7)
#define CAP_LOW_SAGAW_3_LEVELS (1u << 9)
#define CAP_LOW_SAGAW_4_LEVELS (1u << 10)
#define CAP_HIGH_PSI (1u << 7)
#define ECAP_LOW_QUEUED_INVALIDATION (1u << 1)
#define ECAP_LOW_INTERRUPT_REMAPPING (1u << 3)

#define GLOBAL_TRANSLATION (1u << 31)
#define GLOBAL_ROOT_TABLE (1u << 30)
#define GLOBAL_WRITE_BUFFER (1u << 27)
#define GLOBAL_QUEUED_INVALIDATION (1u << 26)
#define GLOBAL_INTERRUPT_REMAPPING (1u << 25)
#define GLOBAL_INTERRUPT_TABLE (1u << 24)
/* GSTS bits that are states; the others are answers to one-shot commands and must not be written back to GCMD. */
#define GSTS_STATES 0x96ffffffu

#define CCMD_HIGH_ICC (1u << 31)
#define CCMD_HIGH_GLOBAL (1u << 29)
#define CCMD_HIGH_DONE (3u << 27)

#define IOTLB_HIGH_IVT (1u << 31)
#define IOTLB_HIGH_GRANULARITY 28
#define IOTLB_HIGH_DONE (3u << 25)
#define IOTLB_HIGH_DRAIN_READS (1u << 17)
#define IOTLB_HIGH_DRAIN_WRITES (1u << 16)

#define FSTS_OVERFLOW (1u << 0)
#define FSTS_PENDING (1u << 1)
#define FSTS_QUEUE_ERROR (1u << 4)
#define RECORD_FAULT (1u << 31)

#define GRANULARITY_GLOBAL 1u
#define GRANULARITY_DOMAIN 2u
#define GRANULARITY_PAGE 3u

/* Invalidation descriptors of 128 bits; a page holds 256 of them. */
#define QUEUE_ENTRIES 256
#define DESCRIPTOR_BYTES 16
#define INVALIDATE_CONTEXTS 1u
#define INVALIDATE_IOTLB 2u
#define INVALIDATE_IOTLB_DRAIN (3u << 6)
#define INVALIDATE_INTERRUPTS 4u
#define INVALIDATE_WAIT 5u
#define INVALIDATE_WAIT_STATUS (1u << 5)

/* Entries of the interrupt-remapping table: 2 to the power of one more than the size. */
#define INTERRUPT_TABLE_SIZE 7
#define INTERRUPT_TABLE_ENTRIES 256
#define VALIDATE_SOURCE (1u << 18)
/* A message in remappable format: which entry, instead of where to and what. */
#define MESSAGE_REMAPPABLE (1u << 4)
#define MESSAGE_HANDLE 5

#define PRESENT 1u
#define CONTEXT_WIDTH_39 1u
#define CONTEXT_WIDTH_48 2u

static u32 iotlb_registers; /* address of IVA; IOTLB follows it */
static u32 fault_records;
static u32 fault_record_count;
static u32 levels;
static bool page_selective_invalidation;
static bool write_buffer;
static bool caching_mode;
static bool enabled;
static bool can_queue;
static bool can_remap_interrupts;

/* 128-bit entries: two u32 pairs, low half first. */
static u32 *root_table;
static u32 *context_table;
static u32 *interrupt_table;
static u32 *invalidation_queue;
static u32 invalidation_tail;
static volatile u32 invalidations_done;
static u32 invalidations;

/* A 64-bit entry whose physical address fits 32 bits. The half that holds the present bits goes last. */
static void set_entry(u32 *entry, u32 low, u32 high) {
  ((volatile u32 *)entry)[1] = high;
  barrier();
  ((volatile u32 *)entry)[0] = low;
}

static void await(u32 address, u32 mask, u32 wanted) {
  u64 end = timer_now() + TIMER_HZ;
  while ((read32(address) & mask) != wanted) {
    if (timer_now() > end) fatal(ERROR_VTD_TIMEOUT, address);
  }
}

void vtd_prepare(void) {
  u32 cap_low = read32(VTD_BASE + REGISTER_CAP);
  u32 cap_high = read32(VTD_BASE + REGISTER_CAP + 4);
  u32 ecap_low = read32(VTD_BASE + REGISTER_ECAP);
  if (cap_low & CAP_LOW_SAGAW_3_LEVELS) {
    levels = 3;
  } else if (cap_low & CAP_LOW_SAGAW_4_LEVELS) {
    levels = 4;
  } else {
    fatal(ERROR_VTD_CAPABILITY, cap_low);
  }
  page_selective_invalidation = (cap_high & CAP_HIGH_PSI) != 0;
  write_buffer = (cap_low & CAP_LOW_RWBF) != 0;
  can_queue = (ecap_low & ECAP_LOW_QUEUED_INVALIDATION) != 0;
  /* Its cached entries can be dropped by the queue only. */
  can_remap_interrupts = can_queue && (ecap_low & ECAP_LOW_INTERRUPT_REMAPPING) != 0;
  caching_mode = (cap_low & CAP_LOW_CACHING_MODE) != 0;
  iotlb_registers = VTD_BASE + 16 * (ecap_low >> 8 & 0x3ff);
  /* FRO is CAP bits 33:24, NFR bits 47:40 */
  fault_records = VTD_BASE + 16 * ((cap_high & 3) << 8 | cap_low >> 24);
  fault_record_count = (cap_high >> 8 & 0xff) + 1;
  root_table = dma_take_pages(1);
  context_table = dma_take_pages(1);
  set_entry(&root_table[0], (u32)context_table | PRESENT, 0);
}

void vtd_attach(struct vtd_domain *domain, u32 id, u32 requester) {
  domain->id = id;
  domain->top = dma_take_pages(1);
  u32 *entry = &context_table[4 * (requester & 0xff)];
  u32 width = levels == 3 ? CONTEXT_WIDTH_39 : CONTEXT_WIDTH_48;
  /* Upper 64 bits: address width in bits 66:64, domain id in bits 87:72. Translation type 0, bits 3:2: through the
     second level, untranslated requests only. */
  set_entry(&entry[2], width | id << 8, 0);
  set_entry(&entry[0], (u32)domain->top | PRESENT, 0);
}

/* Second-level entries of a 32-bit address, from the top: 9 bits a level, the two topmost levels see only zeros there. */
static u32 *leaf(struct vtd_domain *domain, u32 address) {
  u32 *table = domain->top;
  for (u32 level = levels; level > 1; level--) {
    u32 index = level == 2 ? address >> 21 & 0x1ff : level == 3 ? address >> 30 : 0;
    u32 *entry = &table[2 * index];
    if (!(*entry & (VTD_READ | VTD_WRITE))) set_entry(entry, (u32)dma_take_pages(1) | VTD_READ | VTD_WRITE, 0);
    table = (u32 *)(*entry & ~(PAGE_BYTES - 1u));
  }
  return &table[2 * (address >> 12 & 0x1ff)];
}

void vtd_map(struct vtd_domain *domain, u32 address, u32 physical, u32 access) {
  set_entry(leaf(domain, address), physical | access, 0);
  barrier();
  /* Such a unit also remembers that nothing was mapped. */
  if (caching_mode && enabled) vtd_forget(domain, address, true);
}

static void flush_write_buffer(void) {
  barrier();
  if (!write_buffer) return;
  write32(VTD_BASE + REGISTER_GCMD, (read32(VTD_BASE + REGISTER_GSTS) & GSTS_STATES) | GLOBAL_WRITE_BUFFER);
  await(VTD_BASE + REGISTER_GSTS, GLOBAL_WRITE_BUFFER, 0);
}

/* A descriptor, and one that writes a number when all before it are done. */
static void put_descriptor(u32 word0, u32 word1, u32 word2) {
  u32 *words = &invalidation_queue[invalidation_tail * DESCRIPTOR_BYTES / 4];
  words[0] = word0;
  words[1] = word1;
  words[2] = word2;
  words[3] = 0;
  invalidation_tail = (invalidation_tail + 1) % QUEUE_ENTRIES;
}

static void invalidate_by_queue(u32 word0, u32 word1, u32 word2) {
  put_descriptor(word0, word1, word2);
  put_descriptor(INVALIDATE_WAIT | INVALIDATE_WAIT_STATUS, ++invalidations, (u32)&invalidations_done);
  barrier();
  write64(VTD_BASE + REGISTER_IQT, invalidation_tail * DESCRIPTOR_BYTES, 0);
  u64 end = timer_now() + TIMER_HZ;
  while (invalidations_done != invalidations) {
    if (timer_now() > end) fatal(ERROR_VTD_TIMEOUT, VTD_BASE + REGISTER_IQT);
  }
  barrier();
}

static void invalidate_iotlb(u32 granularity, u32 domain, u32 address) {
  if (can_queue) {
    invalidate_by_queue(INVALIDATE_IOTLB | granularity << 4 | INVALIDATE_IOTLB_DRAIN | domain << 16, 0, address);
    return;
  }
  u32 at = iotlb_registers + 8;
  await(at + 4, IOTLB_HIGH_IVT, 0);
  write64(iotlb_registers, address, 0); /* IVA: this page alone (AM 0), leaf and levels above */
  write64(at, 0,
          granularity << IOTLB_HIGH_GRANULARITY | domain | IOTLB_HIGH_IVT | IOTLB_HIGH_DRAIN_READS |
              IOTLB_HIGH_DRAIN_WRITES);
  await(at + 4, IOTLB_HIGH_IVT, 0);
  u32 answer = read32(at + 4);
  if (!(answer & IOTLB_HIGH_DONE)) fatal(ERROR_VTD_INVALIDATION, answer);
  barrier();
}

static void invalidate_contexts(void) {
  if (can_queue) {
    invalidate_by_queue(INVALIDATE_CONTEXTS | GRANULARITY_GLOBAL << 4, 0, 0);
    return;
  }
  u32 at = VTD_BASE + REGISTER_CCMD;
  await(at + 4, CCMD_HIGH_ICC, 0);
  write64(at, 0, CCMD_HIGH_ICC | CCMD_HIGH_GLOBAL);
  await(at + 4, CCMD_HIGH_ICC, 0);
  u32 answer = read32(at + 4);
  if (!(answer & CCMD_HIGH_DONE)) fatal(ERROR_VTD_INVALIDATION, answer);
}

void vtd_forget(const struct vtd_domain *domain, u32 address, bool page_selective) {
  flush_write_buffer();
  if (page_selective && page_selective_invalidation) {
    invalidate_iotlb(GRANULARITY_PAGE, domain->id, address & ~(PAGE_BYTES - 1u));
  } else {
    invalidate_iotlb(GRANULARITY_DOMAIN, domain->id, 0);
  }
}

/* One command bit on top of the states that hold, then its answer. */
static void command(u32 bit) {
  write32(VTD_BASE + REGISTER_GCMD, (read32(VTD_BASE + REGISTER_GSTS) & GSTS_STATES) | bit);
  await(VTD_BASE + REGISTER_GSTS, bit, bit);
}

void vtd_enable(void) {
  flush_write_buffer();
  write64(VTD_BASE + REGISTER_RTADDR, (u32)root_table, 0);
  command(GLOBAL_ROOT_TABLE);
  if (can_queue) {
    invalidation_queue = dma_take_pages(1);
    write64(VTD_BASE + REGISTER_IQT, 0, 0);
    write64(VTD_BASE + REGISTER_IQA, (u32)invalidation_queue, 0);
    command(GLOBAL_QUEUED_INVALIDATION);
  }
  invalidate_contexts();
  invalidate_iotlb(GRANULARITY_GLOBAL, 0, 0);
  command(GLOBAL_TRANSLATION);
  enabled = true;
  if (!can_remap_interrupts) return;
  interrupt_table = dma_take_pages(1);
  write64(VTD_BASE + REGISTER_IRTA, (u32)interrupt_table | INTERRUPT_TABLE_SIZE, 0);
  command(GLOBAL_INTERRUPT_TABLE);
  invalidate_by_queue(INVALIDATE_INTERRUPTS, 0, 0);
  command(GLOBAL_INTERRUPT_REMAPPING);
  status_set(STATUS_BLOCK_INTERRUPTS_REMAPPED, 1);
}

struct message vtd_message(u32 requester, u32 irq) {
  if (!interrupt_table) return (struct message){INTERRUPT_BASE + INTERRUPT_DOORBELL, irq};
  /* Each irq is one vector of one device, and has the entry of its number. */
  u32 *entry = &interrupt_table[4 * (irq % INTERRUPT_TABLE_ENTRIES)];
  entry[1] = 0;
  entry[2] = VALIDATE_SOURCE | requester;
  entry[3] = 0;
  barrier();
  ((volatile u32 *)entry)[0] = (INTERRUPT_VECTOR + irq) << 16 | PRESENT;
  invalidate_by_queue(INVALIDATE_INTERRUPTS | 1u << 4, irq, 0);
  return (struct message){INTERRUPT_MESSAGES | MESSAGE_REMAPPABLE | irq << MESSAGE_HANDLE, 0};
}

void vtd_check(void) {
  u32 status = read32(VTD_BASE + REGISTER_FSTS);
  if (status & FSTS_QUEUE_ERROR) fatal(ERROR_VTD_INVALIDATION, status);
  if (!(status & (FSTS_OVERFLOW | FSTS_PENDING))) return;
  for (u32 record = 0; record < fault_record_count; record++) {
    u32 at = fault_records + 16 * record;
    u32 last = read32(at + 12);
    if (!(last & RECORD_FAULT)) continue;
    /* Reason in the low byte, requester above it. */
    error(ERROR_VTD_FAULT, (read32(at + 8) & 0xffff) << 8 | (last & 0xff));
    write32(at + 12, RECORD_FAULT);
  }
  write32(VTD_BASE + REGISTER_FSTS, FSTS_OVERFLOW);
}
