/* The PCI transport of virtio. */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include "virtio.h"

/* Finds the PCI function and its register blocks. */
void virtio_pci_open(struct virtio_device *device, u16 kind, u32 config_bytes);

#endif
