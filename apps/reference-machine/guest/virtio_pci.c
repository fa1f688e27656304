/* virtio over PCI (Virtual I/O Device specification 1.2, 4.1). */
#include "virtio_pci.h"
#include "status.h"

#define VENDOR 0x1af4
#define DEVICE_ID_BASE 0x1040
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
#define CONFIG_GENERATION 21
#define QUEUE_SELECT 22
#define QUEUE_SIZE 24
#define QUEUE_VECTOR 26
#define QUEUE_ENABLE 28
#define QUEUE_NOTIFY_OFFSET 30
#define QUEUE_DESCRIPTORS 32
#define QUEUE_DRIVER 40
#define QUEUE_DEVICE 48
#define COMMON_BYTES 56

#define NO_VECTOR 0xffff

static u32 register_block(const struct virtio_device *device, u8 type, u32 least_bytes, u32 *capability) {
  const struct pci_function *function = &device->pci.function;
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

static u8 get_status(struct virtio_device *device) { return read8(device->pci.common + DEVICE_STATUS); }

static void set_status(struct virtio_device *device, u8 status) { write8(device->pci.common + DEVICE_STATUS, status); }

static u32 offered(struct virtio_device *device, u32 half) {
  write32(device->pci.common + DEVICE_FEATURE_SELECT, half);
  return read32(device->pci.common + DEVICE_FEATURE);
}

static void accept(struct virtio_device *device, u32 half, u32 bits) {
  write32(device->pci.common + DRIVER_FEATURE_SELECT, half);
  write32(device->pci.common + DRIVER_FEATURE, bits);
}

static void interrupts(struct virtio_device *device, u32 vectors, u32 first_irq) {
  pci_msix_start(&device->pci.function, vectors, first_irq);
  write16(device->pci.common + CONFIG_VECTOR, 0);
  if (read16(device->pci.common + CONFIG_VECTOR) != 0) fatal(ERROR_MSIX, NO_VECTOR);
}

static u16 queue_size(struct virtio_device *device, u16 number) {
  write16(device->pci.common + QUEUE_SELECT, number);
  return read16(device->pci.common + QUEUE_SIZE);
}

static void queue_place(struct virtio_device *device, struct virtqueue *queue, u16 vector, u32 descriptors,
                        u32 available, u32 used) {
  u32 common = device->pci.common;
  write16(common + QUEUE_SELECT, queue->number);
  write16(common + QUEUE_SIZE, queue->size);
  write16(common + QUEUE_VECTOR, vector);
  if (read16(common + QUEUE_VECTOR) != vector) fatal(ERROR_MSIX, vector);
  write64(common + QUEUE_DESCRIPTORS, descriptors, 0);
  write64(common + QUEUE_DRIVER, available, 0);
  write64(common + QUEUE_DEVICE, used, 0);
  queue->notify = device->pci.notify + read16(common + QUEUE_NOTIFY_OFFSET) * device->pci.notify_multiplier;
  write16(common + QUEUE_ENABLE, 1);
}

static void notify(struct virtqueue *queue) { write16(queue->notify, queue->number); }

/* A field of several bytes can change between two reads of its parts; the generation tells whether they belong
   together. */
static void read_config(struct virtio_device *device, u32 offset, void *to, u32 bytes) {
  u8 before, after;
  do {
    before = read8(device->pci.common + CONFIG_GENERATION);
    for (u32 index = 0; index < bytes; index++) ((u8 *)to)[index] = read8(device->pci.specific + offset + index);
    after = read8(device->pci.common + CONFIG_GENERATION);
  } while (before != after);
}

static void write_config_word(struct virtio_device *device, u32 offset, u32 value) {
  write32(device->pci.specific + offset, value);
}

static const struct virtio_transport transport = {
    .status = get_status,
    .set_status = set_status,
    .offered = offered,
    .accept = accept,
    .interrupts = interrupts,
    .queue_size = queue_size,
    .queue_place = queue_place,
    .notify = notify,
    .read_config = read_config,
    .write_config_word = write_config_word,
};

static void find_registers(struct virtio_device *device, u32 config_bytes) {
  u32 capability;
  device->transport = &transport;
  device->name = device->pci.function.requester;
  device->pci.common = register_block(device, TYPE_COMMON, COMMON_BYTES, &capability);
  device->pci.specific = register_block(device, TYPE_DEVICE, config_bytes, &capability);
  device->pci.notify = register_block(device, TYPE_NOTIFY, 2, &capability);
  device->pci.notify_multiplier = read32(capability + CAP_NOTIFY_MULTIPLIER);
  register_block(device, TYPE_ISR, 1, &capability);
}

void virtio_pci_open(struct virtio_device *device, u16 kind, u32 config_bytes) {
  pci_open(&device->pci.function, VENDOR, DEVICE_ID_BASE + kind);
  find_registers(device, config_bytes);
}

bool virtio_pci_open_at(struct virtio_device *device, u32 requester, u16 kind, u32 config_bytes) {
  if (!pci_open_at(&device->pci.function, requester, VENDOR, DEVICE_ID_BASE + kind)) return false;
  find_registers(device, config_bytes);
  return true;
}
