/* Source: Intel Virtualization Technology for Directed I/O, chapters 3 (translation), 6 (caching), 9 (tables), 10 or 11
   (registers). Every 64-bit register is reached as two halves; the bit that starts an operation is in the high one. */
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

#define CAP_LOW_RWBF (1u << 4)
#define CAP_LOW_CACHING_MODE (1u << 7)
#define CAP_LOW_SAGAW_3_LEVELS (1u << 9)
#define CAP_LOW_SAGAW_4_LEVELS (1u << 10)
#define CAP_HIGH_PSI (1u << 7)

#define GLOBAL_TRANSLATION (1u << 31)
#define GLOBAL_ROOT_TABLE (1u << 30)
#define GLOBAL_WRITE_BUFFER (1u << 27)
/* GSTS bits that are states; the others are answers to one-shot commands and must not be written back to GCMD. */
#define GSTS_STATES 0x96ffffffu

#define CCMD_HIGH_ICC (1u << 31)
#define CCMD_HIGH_GLOBAL (1u << 29)
#define CCMD_HIGH_DONE (3u << 27)

#define IOTLB_HIGH_IVT (1u << 31)
#define IOTLB_HIGH_GLOBAL (1u << 28)
#define IOTLB_HIGH_DOMAIN (2u << 28)
#define IOTLB_HIGH_PAGE (3u << 28)
#define IOTLB_HIGH_DONE (3u << 25)
#define IOTLB_HIGH_DRAIN_READS (1u << 17)
#define IOTLB_HIGH_DRAIN_WRITES (1u << 16)

#define FSTS_OVERFLOW (1u << 0)
#define FSTS_PENDING (1u << 1)
#define RECORD_FAULT (1u << 31)

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

/* 128-bit entries: two u32 pairs, low half first. */
static u32 *root_table;
static u32 *context_table;

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

static void invalidate_iotlb(u32 high) {
  u32 at = iotlb_registers + 8;
  await(at + 4, IOTLB_HIGH_IVT, 0);
  write64(at, 0, high | IOTLB_HIGH_IVT | IOTLB_HIGH_DRAIN_READS | IOTLB_HIGH_DRAIN_WRITES);
  await(at + 4, IOTLB_HIGH_IVT, 0);
  u32 answer = read32(at + 4);
  if (!(answer & IOTLB_HIGH_DONE)) fatal(ERROR_VTD_INVALIDATION, answer);
  barrier();
}

static void invalidate_contexts(void) {
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
    await(iotlb_registers + 12, IOTLB_HIGH_IVT, 0);
    write64(iotlb_registers, address & ~(PAGE_BYTES - 1u), 0); /* IVA: this page alone (AM 0), leaf and levels above */
    invalidate_iotlb(IOTLB_HIGH_PAGE | domain->id);
  } else {
    invalidate_iotlb(IOTLB_HIGH_DOMAIN | domain->id);
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
  invalidate_contexts();
  invalidate_iotlb(IOTLB_HIGH_GLOBAL);
  command(GLOBAL_TRANSLATION);
  enabled = true;
}

void vtd_check(void) {
  if (!(read32(VTD_BASE + REGISTER_FSTS) & (FSTS_OVERFLOW | FSTS_PENDING))) return;
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
