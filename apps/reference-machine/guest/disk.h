/* The virtio-blk driver: numbered blocks, written in order, up to SLOT_COUNT in flight. */
#ifndef DISK_H
#define DISK_H

#include "base.h"

/* Finds the device and opens its DMA address space. */
void disk_open(bool use_iommu);
/* Brings it to DRIVER_OK; with an IOMMU, after translation is on. */
void disk_start(u32 seed);
bool disk_ready(void);
/* Writes block `number` to sector (number - 1) modulo the capacity; only when disk_ready. */
void disk_submit(u32 number);
/* Takes what has completed, on its queue's interrupt. */
void disk_reap(void);
void disk_configuration_changed(void);
/* Tells changes between calls: completions waiting that no interrupt has led to being taken. */
bool disk_interrupt_lost(void);
u32 disk_sectors(void);

#endif
