/* The order of steps is the specification's 3.1.1 (initialisation), 2.7.13 (offering buffers), 2.7.14 (taking them). */
#include "virtio.h"
#include "status.h"
#include "virtio_ccw.h"
#include "virtio_pci.h"

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define STATUS_NEEDS_RESET 64

/* Feature bits 63:32 */
#define FEATURE_VERSION_1 (1u << 0)
#define FEATURE_ACCESS_PLATFORM (1u << 1)

#define USED_NO_NOTIFY 1

/* Behind the descriptors, in the page that the device only reads. */
#define AVAILABLE_OFFSET (PAGE_BYTES / 2)
_Static_assert(QUEUE_SIZE_MAX * sizeof(struct descriptor) <= AVAILABLE_OFFSET, "room for descriptors");

void virtio_open(struct virtio_device *device, u16 kind, u32 config_bytes, bool use_iommu, u32 domain_id, u32 window) {
  if (read32(RAM_BASE + BOOT_BLOCK_OFFSET + BOOT_BLOCK_PROFILE) == PROFILE_S390_CCW)
    virtio_ccw_open(device, kind, config_bytes);
  else
    virtio_pci_open(device, kind, config_bytes);
  device->use_iommu = use_iommu;
  dma_space_open(&device->space, use_iommu, domain_id, window, device->name);
}

static u8 status_of(struct virtio_device *device) { return device->transport->status(device); }

static void add_status(struct virtio_device *device, u8 bits) {
  device->transport->set_status(device, status_of(device) | bits);
}

u32 virtio_negotiate(struct virtio_device *device, u32 wanted) {
  const struct virtio_transport *transport = device->transport;
  transport->set_status(device, 0);
  while (status_of(device) != 0) {
  }
  add_status(device, STATUS_ACKNOWLEDGE);
  add_status(device, STATUS_DRIVER);
  u32 low = transport->offered(device, 0) & wanted;
  u32 high = transport->offered(device, 1);
  if (!(high & FEATURE_VERSION_1)) fatal(ERROR_VIRTIO_FEATURES, high);
  /* Without this feature a device goes past the IOMMU, and the addresses that it is given would be physical ones. */
  if (device->use_iommu && !(high & FEATURE_ACCESS_PLATFORM)) fatal(ERROR_VIRTIO_FEATURES, high);
  transport->accept(device, 0, low);
  transport->accept(device, 1, high & (FEATURE_VERSION_1 | FEATURE_ACCESS_PLATFORM));
  add_status(device, STATUS_FEATURES_OK);
  if (!(status_of(device) & STATUS_FEATURES_OK)) fatal(ERROR_VIRTIO_FEATURES, low);
  return low;
}

void virtio_queue_start(struct virtio_device *device, struct virtqueue *queue, u16 number, u16 vector) {
  u16 size = device->transport->queue_size(device, number);
  if (size == 0 || (size & (size - 1)) != 0) fatal(ERROR_VIRTIO_QUEUE, (u32)number << 16 | size);
  if (size > QUEUE_SIZE_MAX) size = QUEUE_SIZE_MAX;
  for (u32 page = 0; page < 2; page++) {
    if (queue->pages[page].memory) {
      fill_words(queue->pages[page].memory, 0, PAGE_BYTES / 4);
    } else {
      queue->pages[page] = dma_page_new(&device->space, page == 1 ? VTD_READ | VTD_WRITE : VTD_READ);
    }
  }
  queue->device = device;
  queue->size = size;
  queue->number = number;
  queue->next_available = 0;
  queue->last_used = 0;
  queue->descriptors = queue->pages[0].memory;
  queue->available = (volatile u16 *)((u8 *)queue->pages[0].memory + AVAILABLE_OFFSET);
  queue->used = queue->pages[1].memory;
  barrier();
  device->transport->queue_place(device, queue, vector, queue->pages[0].address,
                                 queue->pages[0].address + AVAILABLE_OFFSET, queue->pages[1].address);
}

void virtio_driver_ok(struct virtio_device *device) {
  barrier();
  add_status(device, STATUS_DRIVER_OK);
}

void virtio_configuration_changed(struct virtio_device *device) {
  u8 status = status_of(device);
  if (status & STATUS_NEEDS_RESET) fatal(ERROR_VIRTIO_NEEDS_RESET, device->name << 8 | status);
}

void virtqueue_describe(struct virtqueue *queue, u16 index, u32 address, u32 length, u16 flags, u16 next) {
  volatile struct descriptor *descriptor = &queue->descriptors[index];
  descriptor->address_low = address;
  descriptor->address_high = 0;
  descriptor->length = length;
  descriptor->flags = flags;
  descriptor->next = next;
}

void virtqueue_offer(struct virtqueue *queue, u16 head) {
  queue->available[2 + (queue->next_available & (queue->size - 1))] = head;
  /* The entry and all that it leads to must be there before the index that shows them. */
  barrier();
  queue->next_available++;
  queue->available[1] = queue->next_available;
}

void virtqueue_notify(struct virtqueue *queue) {
  /* The index must be out before the flag is looked at, or device and driver could each wait for the other. */
  barrier();
  if (!(queue->used[0] & USED_NO_NOTIFY)) queue->device->transport->notify(queue);
}

bool virtqueue_has_used(const struct virtqueue *queue) { return queue->used[1] != queue->last_used; }

bool virtqueue_take(struct virtqueue *queue, u32 *id, u32 *length) {
  u16 waiting = (u16)(queue->used[1] - queue->last_used);
  if (waiting == 0) return false;
  if (waiting > queue->size) fatal(ERROR_USED_INDEX, (u32)queue->number << 16 | queue->used[1]);
  /* The element is read after the index that shows it. */
  barrier();
  volatile u32 *element = (volatile u32 *)(queue->used + 2) + 2 * (queue->last_used & (queue->size - 1));
  *id = element[0];
  *length = element[1];
  queue->last_used++;
  return true;
}
