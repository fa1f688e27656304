/* Physical pages are handed out downwards and device addresses upwards: no device address is its physical address, and
   pages that adjoin for the device do not adjoin in memory. */
#include "dma.h"
#include "status.h"

#define AREA_PAGES 104

static u8 area[AREA_PAGES][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static u32 pages_left = AREA_PAGES;

void *dma_take_pages(u32 count) {
  if (count > pages_left) fatal(ERROR_DMA_SPACE, count);
  pages_left -= count;
  return area[pages_left];
}

void dma_space_open(struct dma_space *space, bool use_iommu, u32 domain_id, u32 window, u32 requester) {
  space->translated = use_iommu;
  space->next_address = window;
  if (!use_iommu) return;
  vtd_attach(&space->domain, domain_id, requester);
  /* Interrupt messages are writes. Where the machine does not keep them from translation, they still arrive. */
  u32 doorbell = INTERRUPT_BASE + INTERRUPT_DOORBELL;
  vtd_map(&space->domain, doorbell, doorbell, VTD_WRITE);
}

/* The device's address for a page: the next one of its window, or the physical one. */
static u32 publish(struct dma_space *space, void *memory, u32 access) {
  if (!space->translated) return (u32)memory;
  u32 address = space->next_address;
  space->next_address += PAGE_BYTES;
  vtd_map(&space->domain, address, (u32)memory, access);
  return address;
}

struct dma_page dma_page_new(struct dma_space *space, u32 access) {
  void *memory = dma_take_pages(1);
  return (struct dma_page){memory, publish(space, memory, access)};
}

void dma_buffer_new(struct dma_space *space, struct dma_buffer *buffer) {
  u8 *pages = dma_take_pages(3);
  buffer->first[0] = pages;
  buffer->second = pages + PAGE_BYTES;
  buffer->first[1] = pages + 2 * PAGE_BYTES;
  buffer->current = 0;
  buffer->address = publish(space, buffer->first[0], VTD_READ);
  publish(space, buffer->second, VTD_READ);
}

void dma_buffer_write(struct dma_buffer *buffer, u32 offset, const void *data, u32 bytes) {
  u32 head = offset < PAGE_BYTES ? PAGE_BYTES - offset : 0;
  if (head > bytes) head = bytes;
  u32 tail = offset + head - PAGE_BYTES;
  if (head) copy_bytes(buffer->first[buffer->current] + offset, data, head);
  if (bytes > head) copy_bytes(buffer->second + tail, (const u8 *)data + head, bytes - head);
}

void dma_buffer_swap(struct dma_space *space, struct dma_buffer *buffer) {
  if (!space->translated) return;
  u8 *old = buffer->first[buffer->current];
  buffer->current ^= 1;
  vtd_map(&space->domain, buffer->address, (u32)buffer->first[buffer->current], VTD_READ);
  vtd_forget(&space->domain, buffer->address, space->swaps++ % 2 == 0);
  fill_words(old, 0xdeadbeef, PAGE_BYTES / 4);
  status_add(STATUS_BLOCK_REMAPS, 1);
}
