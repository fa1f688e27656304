/* virtio 1.x with split virtqueues (Virtual I/O Device specification 1.2, chapters 2 and 3), whatever the transport. */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "base.h"
#include "dma.h"
#include "pci.h"

#define QUEUE_SIZE_MAX 64
#define VIRTIO_NETWORK 1
#define VIRTIO_DISK 2
#define VIRTIO_CONSOLE 3
#define VIRTIO_ENTROPY 4
#define VIRTIO_BALLOON 5
#define VIRTIO_SCSI 8

struct virtio_device;
struct virtqueue;

/* How a driver reaches its device. Vector n is configuration for 0, and what the driver says for the others. */
struct virtio_transport {
  u8 (*status)(struct virtio_device *device);
  void (*set_status)(struct virtio_device *device, u8 status);
  u32 (*offered)(struct virtio_device *device, u32 half);
  void (*accept)(struct virtio_device *device, u32 half, u32 bits);
  /* Routes vectors 0 .. vectors-1 to irqs first_irq, first_irq + 1 ... */
  void (*interrupts)(struct virtio_device *device, u32 vectors, u32 first_irq);
  /* 0: there is no such queue. */
  u16 (*queue_size)(struct virtio_device *device, u16 number);
  /* Gives the queue its rings, whose addresses are the device's, and sets queue->notify. */
  void (*queue_place)(struct virtio_device *device, struct virtqueue *queue, u16 vector, u32 descriptors, u32 available,
                      u32 used);
  void (*notify)(struct virtqueue *queue);
  void (*read_config)(struct virtio_device *device, u32 offset, void *to, u32 bytes);
  /* Writes one 32-bit field of the device's configuration. */
  void (*write_config_word)(struct virtio_device *device, u32 offset, u32 value);
};

struct virtio_device {
  const struct virtio_transport *transport;
  struct dma_space space;
  bool use_iommu;
  u32 name; /* for errors: requester or subchannel */
  struct {
    struct pci_function function;
    u32 common; /* addresses of its register blocks */
    u32 notify;
    u32 notify_multiplier;
    u32 specific; /* device-specific configuration */
  } pci;
  struct {
    u32 kind;
    u32 config_bytes;
    u32 first_irq;
    u32 vectors;
    u8 *irqs;  /* of each queue's indicator; 0: none */
    u8 status; /* that the driver has set */
  } ccw;
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
  u32 notify; /* the transport's */
  struct virtio_device *device;
  struct dma_page pages[2]; /* descriptors and available ring; used ring. Kept when the queue is started again */
  volatile struct descriptor *descriptors;
  volatile u16 *available; /* flags, index, ring */
  volatile u16 *used;      /* flags, index, ring of {u32 id, u32 length} */
};

/* Finds a device of this kind (VIRTIO_*) where the profile has it, and opens its DMA address space. The device's own
   configuration must have at least `config_bytes`. Domain and window are the IOMMU's. */
void virtio_open(struct virtio_device *device, u16 kind, u32 config_bytes, bool use_iommu, u32 domain_id, u32 window);

/* Reset to FEATURES_OK. `wanted`: bits 31:0 that the driver knows; answers which of them are agreed. */
u32 virtio_negotiate(struct virtio_device *device, u32 wanted);

/* Gives a queue its rings; its interrupts go to vector `vector`. */
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
