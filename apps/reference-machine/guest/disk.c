/* Source: Virtual I/O Device specification 1.2, 5.2 (block device). */
#include "disk.h"
#include "evidence.h"
#include "interrupt.h"
#include "slots.h"
#include "status.h"
#include "virtio.h"
#include "watch.h"

#define DOMAIN 1
#define WINDOW 0x10000000
#define CONFIG_BYTES 8
#define CONFIG_CAPACITY 0

#define REQUEST_WRITE 1
#define STATUS_OK 0
#define STATUS_UNTOUCHED 0xff

/* The data straddle the buffer's two pages. */
#define DATA_OFFSET (PAGE_BYTES - BLOCK_BYTES / 2)
#define HEADER_BYTES 16
#define DESCRIPTORS 3

static struct virtio_device device;
static struct virtqueue queue;
static struct slot slots[SLOT_COUNT];
static struct dma_page headers;
static struct dma_page statuses;
static struct watch watch;
static u32 sectors;
static u32 seed;

void disk_open(bool use_iommu) { virtio_open(&device, VIRTIO_DISK, CONFIG_BYTES, use_iommu, DOMAIN, WINDOW); }

static u32 read_capacity(void) {
  u32 capacity[2];
  device.transport->read_config(&device, CONFIG_CAPACITY, capacity, sizeof capacity);
  return capacity[1] ? 0xffffffff : capacity[0];
}

void disk_start(u32 evidence_seed) {
  seed = evidence_seed;
  virtio_negotiate(&device, 0);
  device.transport->interrupts(&device, 2, IRQ_DISK_CONFIG);
  virtio_queue_start(&device, &queue, 0, 1);
  if (queue.size < SLOT_COUNT * DESCRIPTORS) fatal(ERROR_VIRTIO_QUEUE, queue.size);
  headers = dma_page_new(&device.space, VTD_READ);
  statuses = dma_page_new(&device.space, VTD_READ | VTD_WRITE);
  for (u32 slot = 0; slot < SLOT_COUNT; slot++) dma_buffer_new(&device.space, &slots[slot].buffer);
  sectors = read_capacity();
  if (sectors == 0) fatal(ERROR_DISK_CAPACITY, 0);
  status_set(STATUS_BLOCK_DISK_SECTORS, sectors);
  virtio_driver_ok(&device);
}

u32 disk_sectors(void) { return sectors; }

bool disk_ready(void) { return slot_find(slots, 0) != SLOT_COUNT; }

void disk_submit(u32 number) {
  u32 index = slot_find(slots, number);
  struct slot *slot = &slots[index];
  if (number % 16 == 0) dma_buffer_swap(&device.space, &slot->buffer);
  u8 block[BLOCK_BYTES];
  evidence_block(block, number, seed);
  dma_buffer_write(&slot->buffer, DATA_OFFSET, block, BLOCK_BYTES);
  u32 header[4] = {REQUEST_WRITE, 0, (number - 1) % sectors, 0};
  copy_bytes((u8 *)headers.memory + HEADER_BYTES * index, header, HEADER_BYTES);
  *((volatile u8 *)statuses.memory + index) = STATUS_UNTOUCHED;

  u16 head = (u16)(DESCRIPTORS * index);
  virtqueue_describe(&queue, head, headers.address + HEADER_BYTES * index, HEADER_BYTES, DESCRIPTOR_NEXT, head + 1);
  virtqueue_describe(&queue, head + 1, slot->buffer.address + DATA_OFFSET, BLOCK_BYTES, DESCRIPTOR_NEXT, head + 2);
  virtqueue_describe(&queue, head + 2, statuses.address + index, 1, DESCRIPTOR_WRITE, 0);
  slot->number = number;
  status_set(STATUS_BLOCK_BLOCKS_SUBMITTED, number);
  virtqueue_offer(&queue, head);
  virtqueue_notify(&queue);
}

void disk_reap(void) {
  u32 id, length;
  while (virtqueue_take(&queue, &id, &length)) {
    u32 index = id / DESCRIPTORS;
    if (id % DESCRIPTORS != 0 || index >= SLOT_COUNT || slots[index].number == 0) {
      error(ERROR_USED_ID, id);
      continue;
    }
    u8 status = *((volatile u8 *)statuses.memory + index);
    if (length != 1) error(ERROR_USED_LENGTH, length);
    if (status != STATUS_OK) error(ERROR_DISK_STATUS, slots[index].number << 8 | status);
    slots[index].number = 0;
    status_set(STATUS_BLOCK_BLOCKS_COMPLETED, slots_completed(slots, status_get(STATUS_BLOCK_BLOCKS_SUBMITTED)));
  }
}

void disk_configuration_changed(void) { virtio_configuration_changed(&device); }

bool disk_interrupt_lost(void) { return watch_queue(&watch, &queue); }
