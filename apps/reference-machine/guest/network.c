/* Source: Virtual I/O Device specification 1.2, 5.1 (network device). */
#include "network.h"
#include "evidence.h"
#include "interrupt.h"
#include "slots.h"
#include "status.h"
#include "virtio.h"
#include "watch.h"

#define DOMAIN 2
#define WINDOW 0x18000000
#define CONFIG_BYTES MAC_BYTES
#define FEATURE_MAC (1u << 5)
#define QUEUE_RECEIVE 0
#define QUEUE_TRANSMIT 1

/* struct virtio_net_hdr with num_buffers, which VERSION_1 always has */
#define HEADER_BYTES 12
#define DESCRIPTORS 2

/* The frame straddles the buffer's two pages, at an odd multiple of 2. */
#define FRAME_OFFSET (PAGE_BYTES - 78)

#define RECEIVE_BYTES 2048
#define RECEIVE_COUNT 16
#define RECEIVE_PER_PAGE (PAGE_BYTES / RECEIVE_BYTES)

static struct virtio_device device;
static struct virtqueue receive;
static struct virtqueue transmit;
static struct slot slots[SLOT_COUNT];
static struct dma_page headers;
static struct dma_page receive_pages[RECEIVE_COUNT / RECEIVE_PER_PAGE];
static bool posted[RECEIVE_COUNT];
static struct watch transmit_watch;
static struct watch receive_watch;
static u8 mac[MAC_BYTES];
static u32 seed;

void network_open(bool use_iommu) { virtio_open(&device, VIRTIO_NETWORK, CONFIG_BYTES, use_iommu, DOMAIN, WINDOW); }

const u8 *network_mac(void) { return mac; }

static void read_mac(bool offered) {
  mac[0] = 2; /* locally administered */
  if (offered) device.transport->read_config(&device, 0, mac, MAC_BYTES);
}

static void post(u32 index) {
  u32 offset = index % RECEIVE_PER_PAGE * RECEIVE_BYTES;
  u32 address = receive_pages[index / RECEIVE_PER_PAGE].address + offset;
  virtqueue_describe(&receive, (u16)index, address, RECEIVE_BYTES, DESCRIPTOR_WRITE, 0);
  posted[index] = true;
  virtqueue_offer(&receive, (u16)index);
}

void network_start(u32 evidence_seed) {
  seed = evidence_seed;
  u32 features = virtio_negotiate(&device, FEATURE_MAC);
  read_mac((features & FEATURE_MAC) != 0);
  device.transport->interrupts(&device, 3, IRQ_NETWORK_CONFIG);
  virtio_queue_start(&device, &receive, QUEUE_RECEIVE, 1);
  virtio_queue_start(&device, &transmit, QUEUE_TRANSMIT, 2);
  if (receive.size < RECEIVE_COUNT) fatal(ERROR_VIRTIO_QUEUE, receive.size);
  if (transmit.size < SLOT_COUNT * DESCRIPTORS) fatal(ERROR_VIRTIO_QUEUE, 1u << 16 | transmit.size);
  headers = dma_page_new(&device.space, VTD_READ);
  for (u32 slot = 0; slot < SLOT_COUNT; slot++) dma_buffer_new(&device.space, &slots[slot].buffer);
  for (u32 page = 0; page < RECEIVE_COUNT / RECEIVE_PER_PAGE; page++) {
    receive_pages[page] = dma_page_new(&device.space, VTD_READ | VTD_WRITE);
  }
  virtio_driver_ok(&device);
  for (u32 index = 0; index < RECEIVE_COUNT; index++) post(index);
  virtqueue_notify(&receive);
}

bool network_ready(void) { return slot_find(slots, 0) != SLOT_COUNT; }

void network_submit(u32 number) {
  u32 index = slot_find(slots, number);
  struct slot *slot = &slots[index];
  if (number % 16 == 0) dma_buffer_swap(&device.space, &slot->buffer);
  u8 frame[FRAME_BYTES];
  evidence_frame(frame, mac, number, seed);
  dma_buffer_write(&slot->buffer, FRAME_OFFSET, frame, FRAME_BYTES);

  u16 head = (u16)(DESCRIPTORS * index);
  virtqueue_describe(&transmit, head, headers.address + HEADER_BYTES * index, HEADER_BYTES, DESCRIPTOR_NEXT, head + 1);
  virtqueue_describe(&transmit, head + 1, slot->buffer.address + FRAME_OFFSET, FRAME_BYTES, 0, 0);
  slot->number = number;
  status_set(STATUS_BLOCK_PACKETS_SUBMITTED, number);
  virtqueue_offer(&transmit, head);
  virtqueue_notify(&transmit);
}

void network_reap_transmit(void) {
  u32 id, length;
  while (virtqueue_take(&transmit, &id, &length)) {
    u32 index = id / DESCRIPTORS;
    if (id % DESCRIPTORS != 0 || index >= SLOT_COUNT || slots[index].number == 0) {
      error(ERROR_USED_ID, 1u << 16 | id);
      continue;
    }
    if (length != 0) error(ERROR_USED_LENGTH, 1u << 16 | length);
    slots[index].number = 0;
    status_set(STATUS_BLOCK_PACKETS_COMPLETED, slots_completed(slots, status_get(STATUS_BLOCK_PACKETS_SUBMITTED)));
  }
}

void network_reap_receive(void) {
  u32 id, length;
  bool any = false;
  while (virtqueue_take(&receive, &id, &length)) {
    if (id >= RECEIVE_COUNT || !posted[id]) {
      error(ERROR_USED_ID, 2u << 16 | id);
      continue;
    }
    posted[id] = false;
    if (length < HEADER_BYTES || length > RECEIVE_BYTES) {
      error(ERROR_USED_LENGTH, 2u << 16 | length);
    } else {
      status_add(STATUS_BLOCK_PACKETS_RECEIVED, 1);
    }
    post(id);
    any = true;
  }
  if (any) virtqueue_notify(&receive);
}

void network_configuration_changed(void) { virtio_configuration_changed(&device); }

bool network_transmit_interrupt_lost(void) { return watch_queue(&transmit_watch, &transmit); }

bool network_receive_interrupt_lost(void) { return watch_queue(&receive_watch, &receive); }
