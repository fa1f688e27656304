/* virtio 1.x over PCI with split virtqueues (Virtual I/O Device specification 1.2, chapters 2, 3 and 4.1). */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "base.h"
#include "dma.h"
#include "pci.h"

#define QUEUE_SIZE_MAX 64
#define VIRTIO_VENDOR 0x1af4

struct virtio_device {
  struct pci_function function;
  struct dma_space space;
  u32 common; /* addresses of its register blocks */
  u32 notify;
  u32 notify_multiplier;
  u32 specific; /* device-specific configuration */
  bool use_iommu;
};

struct descriptor {
  u32 address_low;
  u32 address_high;
  u32 length;
  u16 flags;
  u16 next;
};

#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2

struct virtqueue {
  u16 size;
  u16 next_available; /* the index that the next chain gets; the low bits are its slot in the ring */
  u16 last_used;      /* the index up to which used elements have been taken */
  u16 number;
  u32 notify;
  volatile struct descriptor *descriptors;
  volatile u16 *available; /* flags, index, ring */
  volatile u16 *used;      /* flags, index, ring of {u32 id, u32 length} */
};

/* Finds the PCI function and its register blocks, and opens its DMA address space. The device's own configuration must
   have at least `config_bytes`. */
void virtio_open(struct virtio_device *device, u16 device_id, u32 config_bytes, bool use_iommu, u32 domain_id,
                 u32 window);

/* Reset to FEATURES_OK. `wanted`: bits 31:0 that the driver knows; answers which of them are agreed. */
u32 virtio_negotiate(struct virtio_device *device, u32 wanted);

/* Routes configuration changes to MSI-X vector 0. */
void virtio_route_configuration(struct virtio_device *device);

/* Gives a queue its rings; its interrupts go to MSI-X vector `vector`. */
void virtio_queue_start(struct virtio_device *device, struct virtqueue *queue, u16 number, u16 vector);

void virtio_driver_ok(struct virtio_device *device);

/* Call when configuration has changed: a device that needs a reset is fatal. */
void virtio_configuration_changed(struct virtio_device *device);

/* Fills a descriptor of the queue; `flags` without DESCRIPTOR_NEXT ends the chain. */
void virtqueue_describe(struct virtqueue *queue, u16 index, u32 address, u32 length, u16 flags, u16 next);

/* Makes the chain that begins at `head` available. */
void virtqueue_offer(struct virtqueue *queue, u16 head);

/* Tells the device, unless it said that it need not be told. */
void virtqueue_notify(struct virtqueue *queue);

/* Takes the next used element, if there is one. */
bool virtqueue_take(struct virtqueue *queue, u32 *id, u32 *length);

/* There is a used element that has not been taken. */
bool virtqueue_has_used(const struct virtqueue *queue);

#endif
