/* The order of steps is the specification's 3.1.1 (initialisation), 2.7.13 (offering buffers), 2.7.14 (taking them). */
#include "virtio.h"
#include "status.h"

#define CAPABILITY_VENDOR 0x09
#define TYPE_COMMON 1
#define TYPE_NOTIFY 2
#define TYPE_ISR 3
#define TYPE_DEVICE 4

/* struct virtio_pci_cap */
#define CAP_TYPE 3
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_NOTIFY_MULTIPLIER 16

/* struct virtio_pci_common_cfg */
#define DEVICE_FEATURE_SELECT 0
#define DEVICE_FEATURE 4
#define DRIVER_FEATURE_SELECT 8
#define DRIVER_FEATURE 12
#define CONFIG_VECTOR 16
#define DEVICE_STATUS 20
#define QUEUE_SELECT 22
#define QUEUE_SIZE 24
#define QUEUE_VECTOR 26
#define QUEUE_ENABLE 28
#define QUEUE_NOTIFY_OFFSET 30
#define QUEUE_DESCRIPTORS 32
#define QUEUE_DRIVER 40
#define QUEUE_DEVICE 48
#define COMMON_BYTES 56

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define STATUS_NEEDS_RESET 64

/* Feature bits 63:32 */
#define FEATURE_VERSION_1 (1u << 0)
#define FEATURE_ACCESS_PLATFORM (1u << 1)

#define NO_VECTOR 0xffff
#define USED_NO_NOTIFY 1

static u32 register_block(const struct virtio_device *device, u8 type, u32 least_bytes, u32 *capability) {
  const struct pci_function *function = &device->function;
  u32 at = 0;
  while ((at = pci_capability(function, CAPABILITY_VENDOR, at)) != 0) {
    u32 config = function->config + at;
    u32 bar = read8(config + CAP_BAR);
    if (read8(config + CAP_TYPE) != type || bar > 5 || !function->bars[bar]) continue;
    u32 offset = read32(config + CAP_OFFSET);
    u32 length = read32(config + CAP_LENGTH);
    u32 bytes = function->bar_bytes[bar];
    if (offset > bytes || length > bytes - offset || length < least_bytes) continue;
    *capability = config;
    return function->bars[bar] + offset;
  }
  fatal(ERROR_PCI_CAPABILITY, type);
}

void virtio_open(struct virtio_device *device, u16 device_id, u32 config_bytes, bool use_iommu, u32 domain_id,
                 u32 window) {
  u32 capability;
  pci_open(&device->function, VIRTIO_VENDOR, device_id);
  device->common = register_block(device, TYPE_COMMON, COMMON_BYTES, &capability);
  device->specific = register_block(device, TYPE_DEVICE, config_bytes, &capability);
  device->notify = register_block(device, TYPE_NOTIFY, 2, &capability);
  device->notify_multiplier = read32(capability + CAP_NOTIFY_MULTIPLIER);
  register_block(device, TYPE_ISR, 1, &capability);
  device->use_iommu = use_iommu;
  dma_space_open(&device->space, use_iommu, domain_id, window, device->function.requester);
}

static u8 status_of(const struct virtio_device *device) { return read8(device->common + DEVICE_STATUS); }

static void add_status(const struct virtio_device *device, u8 bits) {
  write8(device->common + DEVICE_STATUS, status_of(device) | bits);
}

static u32 offered(const struct virtio_device *device, u32 half) {
  write32(device->common + DEVICE_FEATURE_SELECT, half);
  return read32(device->common + DEVICE_FEATURE);
}

static void accept(const struct virtio_device *device, u32 half, u32 bits) {
  write32(device->common + DRIVER_FEATURE_SELECT, half);
  write32(device->common + DRIVER_FEATURE, bits);
}

u32 virtio_negotiate(struct virtio_device *device, u32 wanted) {
  write8(device->common + DEVICE_STATUS, 0);
  while (status_of(device) != 0) {
  }
  add_status(device, STATUS_ACKNOWLEDGE);
  add_status(device, STATUS_DRIVER);
  u32 low = offered(device, 0) & wanted;
  u32 high = offered(device, 1);
  if (!(high & FEATURE_VERSION_1)) fatal(ERROR_VIRTIO_FEATURES, high);
  /* Without this feature a device goes past the IOMMU, and the addresses that it is given would be physical ones. */
  if (device->use_iommu && !(high & FEATURE_ACCESS_PLATFORM)) fatal(ERROR_VIRTIO_FEATURES, high);
  accept(device, 0, low);
  accept(device, 1, high & (FEATURE_VERSION_1 | FEATURE_ACCESS_PLATFORM));
  add_status(device, STATUS_FEATURES_OK);
  if (!(status_of(device) & STATUS_FEATURES_OK)) fatal(ERROR_VIRTIO_FEATURES, low);
  return low;
}

void virtio_route_configuration(struct virtio_device *device) {
  write16(device->common + CONFIG_VECTOR, 0);
  if (read16(device->common + CONFIG_VECTOR) != 0) fatal(ERROR_MSIX, NO_VECTOR);
}

void virtio_queue_start(struct virtio_device *device, struct virtqueue *queue, u16 number, u16 vector) {
  u32 common = device->common;
  write16(common + QUEUE_SELECT, number);
  u16 size = read16(common + QUEUE_SIZE);
  if (size == 0 || (size & (size - 1)) != 0) fatal(ERROR_VIRTIO_QUEUE, (u32)number << 16 | size);
  if (size > QUEUE_SIZE_MAX) size = QUEUE_SIZE_MAX;
  struct dma_page descriptors = dma_page_new(&device->space, VTD_READ);
  struct dma_page available = dma_page_new(&device->space, VTD_READ);
  struct dma_page used = dma_page_new(&device->space, VTD_READ | VTD_WRITE);
  queue->size = size;
  queue->number = number;
  queue->next_available = 0;
  queue->last_used = 0;
  queue->descriptors = descriptors.memory;
  queue->available = available.memory;
  queue->used = used.memory;
  barrier();
  write16(common + QUEUE_SIZE, size);
  write16(common + QUEUE_VECTOR, vector);
  if (read16(common + QUEUE_VECTOR) != vector) fatal(ERROR_MSIX, vector);
  write64(common + QUEUE_DESCRIPTORS, descriptors.address, 0);
  write64(common + QUEUE_DRIVER, available.address, 0);
  write64(common + QUEUE_DEVICE, used.address, 0);
  queue->notify = device->notify + read16(common + QUEUE_NOTIFY_OFFSET) * device->notify_multiplier;
  write16(common + QUEUE_ENABLE, 1);
}

void virtio_driver_ok(struct virtio_device *device) {
  barrier();
  add_status(device, STATUS_DRIVER_OK);
}

void virtio_configuration_changed(struct virtio_device *device) {
  u8 status = status_of(device);
  if (status & STATUS_NEEDS_RESET) fatal(ERROR_VIRTIO_NEEDS_RESET, device->function.requester << 8 | status);
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
  if (!(queue->used[0] & USED_NO_NOTIFY)) write16(queue->notify, queue->number);
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
