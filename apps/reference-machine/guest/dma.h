/* Memory that devices reach: its pages, and the addresses under which each device knows them. */
#ifndef DMA_H
#define DMA_H

#include "base.h"
#include "vtd.h"

/* What one device sees. With an IOMMU: a window of its own, outside RAM, page by page onto pages of RAM in another
   order. Without: physical memory. */
struct dma_space {
  bool translated;
  u32 next_address;
  u32 swaps; /* of its buffers' pages */
  struct vtd_domain domain;
};

void dma_space_open(struct dma_space *space, bool use_iommu, u32 domain_id, u32 window, u32 requester);

/* `count` zeroed pages that adjoin in physical memory; fatal when the guest's own area is used up. */
void *dma_take_pages(u32 count);

struct dma_page {
  void *memory;
  u32 address; /* for the device */
};

/* One zeroed page, for the device to read and, if `access` says so, to write. */
struct dma_page dma_page_new(struct dma_space *space, u32 access);

/* A buffer for the device to read, of two pages, of which the first can be swapped under the device's feet: the
   device's address stays, the memory behind it changes. */
struct dma_buffer {
  u8 *first[2]; /* only first[0] adjoins the second page in physical memory too */
  u8 *second;
  u32 current; /* which of the two is in use */
  u32 address;
};

void dma_buffer_new(struct dma_space *space, struct dma_buffer *buffer);

/* Puts `bytes` at `offset` from the start of the buffer. */
void dma_buffer_write(struct dma_buffer *buffer, u32 offset, const void *data, u32 bytes);

/* Swaps the first page and spoils the old one, so that a device that still goes by the old translation reads rubbish.
   Does nothing without an IOMMU. The device must not be using the buffer. */
void dma_buffer_swap(struct dma_space *space, struct dma_buffer *buffer);

#endif
