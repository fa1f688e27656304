/* Source: Virtual I/O Device specification 1.2, 5.1 (network device). Hot-plug is for machines without an IOMMU: the
   card's addresses are physical ones. */
#include "card.h"
#include "status.h"
#include "virtio_pci.h"

#define FEATURE_MAC (1u << 5)
#define QUEUE_TRANSMIT 1
/* struct virtio_net_hdr with num_buffers, all zeros, and the frame behind it */
#define HEADER_BYTES 12
#define SLOT_BYTES (PAGE_BYTES / CARD_SLOTS)

bool card_start(struct card *card, u32 slot, u32 first_irq) {
  struct virtio_device *device = &card->device;
  if (!virtio_pci_open_at(device, slot, VIRTIO_NETWORK, MAC_BYTES)) return false;
  dma_space_open(&device->space, false, 0, 0, device->name);
  if (!(virtio_negotiate(device, FEATURE_MAC) & FEATURE_MAC)) fatal(ERROR_VIRTIO_FEATURES, device->name);
  device->transport->read_config(device, 0, card->mac, MAC_BYTES);
  device->transport->interrupts(device, 2, first_irq);
  virtio_queue_start(device, &card->transmit, QUEUE_TRANSMIT, 1);
  if (card->transmit.size < CARD_SLOTS) fatal(ERROR_VIRTIO_QUEUE, QUEUE_TRANSMIT << 16 | card->transmit.size);
  if (!card->frames.memory) card->frames = dma_page_new(&device->space, VTD_READ);
  card->watch = (struct watch){0};
  virtio_driver_ok(device);
  return true;
}

void card_stop(struct card *card) {
  card->device.transport->set_status(&card->device, 0);
  while (card->device.transport->status(&card->device) != 0) {
  }
  pci_close(&card->device.pci.function);
}

u32 card_next(const struct card *card) { return card->submitted + 1; }

bool card_ready(const struct card *card) { return card->numbers[card_next(card) % CARD_SLOTS] == 0; }

void card_send(struct card *card, u32 seed) {
  u32 number = card_next(card);
  u32 slot = number % CARD_SLOTS;
  u8 frame[FRAME_BYTES];
  evidence_frame(frame, card->mac, number, seed);
  copy_bytes((u8 *)card->frames.memory + SLOT_BYTES * slot + HEADER_BYTES, frame, FRAME_BYTES);
  virtqueue_describe(&card->transmit, (u16)slot, card->frames.address + SLOT_BYTES * slot, HEADER_BYTES + FRAME_BYTES, 0,
                     0);
  card->numbers[slot] = number;
  card->submitted = number;
  virtqueue_offer(&card->transmit, (u16)slot);
  virtqueue_notify(&card->transmit);
}

void card_reap(struct card *card) {
  u32 id, length;
  while (virtqueue_take(&card->transmit, &id, &length)) {
    if (id >= CARD_SLOTS || card->numbers[id] == 0) {
      error(ERROR_USED_ID, 3u << 16 | id);
      continue;
    }
    if (length != 0) error(ERROR_USED_LENGTH, 3u << 16 | length);
    card->numbers[id] = 0;
  }
  while (card->completed != card->submitted && card->numbers[(card->completed + 1) % CARD_SLOTS] == 0) card->completed++;
}
