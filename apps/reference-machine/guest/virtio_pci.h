/* The PCI transport of virtio. */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include "virtio.h"

/* Finds the PCI function and its register blocks. */
void virtio_pci_open(struct virtio_device *device, u16 kind, u32 config_bytes);

/* The same for the function at `requester`; false if it is no such device. */
bool virtio_pci_open_at(struct virtio_device *device, u32 requester, u16 kind, u32 config_bytes);

#endif
