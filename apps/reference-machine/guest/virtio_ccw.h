/* The channel-I/O transport of virtio. */
#ifndef VIRTIO_CCW_H
#define VIRTIO_CCW_H

#include "virtio.h"

/* Finds the subchannel of a virtio device of this kind, enables it, and agrees on a revision. */
void virtio_ccw_open(struct virtio_device *device, u16 kind, u32 config_bytes);

/* Asks each device by a channel program whether its status is still what the driver set. */
void virtio_ccw_check(void);

#endif
