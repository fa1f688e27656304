/* Source: Virtual I/O Device specification 1.2, 5.4 (entropy device). A request waits in its ring until the host has a
   piece for it, so requests wait at every moment, and at that of a migration too. */
#include "entropy.h"
#include "evidence.h"
#include "interrupt.h"
#include "status.h"
#include "virtio.h"
#include "watch.h"

#define DOMAIN 3
#define WINDOW 0x0c030000
#define REQUESTS 2
/* In the numbers of ERROR_USED_ID and ERROR_USED_LENGTH. */
#define QUEUE_NAME 3

static struct virtio_device device;
static struct virtqueue queue;
static struct dma_page pieces;
static bool posted[REQUESTS];
static struct watch watch;
static u32 seed;

void entropy_open(bool use_iommu) { virtio_open(&device, VIRTIO_ENTROPY, 0, use_iommu, DOMAIN, WINDOW); }

static u8 *piece_at(u32 index) { return (u8 *)pieces.memory + PIECE_BYTES * index; }

static void post(u32 index) {
  /* What is left of the last piece must not pass for the next one. */
  fill_words(piece_at(index), 0xffffffff, PIECE_BYTES / 4);
  virtqueue_describe(&queue, (u16)index, pieces.address + PIECE_BYTES * index, PIECE_BYTES, DESCRIPTOR_WRITE, 0);
  posted[index] = true;
  virtqueue_offer(&queue, (u16)index);
}

void entropy_start(u32 evidence_seed) {
  seed = evidence_seed;
  virtio_negotiate(&device, 0);
  device.transport->interrupts(&device, 2, IRQ_ENTROPY_CONFIG);
  virtio_queue_start(&device, &queue, 0, 1);
  if (queue.size < REQUESTS) fatal(ERROR_VIRTIO_QUEUE, queue.size);
  pieces = dma_page_new(&device.space, VTD_WRITE);
  virtio_driver_ok(&device);
  for (u32 index = 0; index < REQUESTS; index++) post(index);
  virtqueue_notify(&queue);
}

static void draw(const u8 *piece) {
  u32 number = evidence_piece_number(piece, seed);
  if (number == 0) {
    status_add(STATUS_BLOCK_DRAWS_TORN, 1);
  } else if (number <= status_get(STATUS_BLOCK_DRAWS_LAST_NUMBER)) {
    status_add(STATUS_BLOCK_DRAWS_REPEATED, 1);
  } else {
    status_set(STATUS_BLOCK_DRAWS_LAST_NUMBER, number);
    status_add(STATUS_BLOCK_DRAWS, 1);
  }
}

void entropy_reap(void) {
  u32 id, length;
  bool any = false;
  while (virtqueue_take(&queue, &id, &length)) {
    if (id >= REQUESTS || !posted[id]) {
      error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
      continue;
    }
    posted[id] = false;
    if (length != PIECE_BYTES) error(ERROR_USED_LENGTH, QUEUE_NAME << 16 | length);
    draw(piece_at(id));
    post(id);
    any = true;
  }
  if (any) virtqueue_notify(&queue);
}

void entropy_configuration_changed(void) { virtio_configuration_changed(&device); }

bool entropy_interrupt_lost(void) { return watch_queue(&watch, &queue); }
