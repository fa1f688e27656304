/* The virtio-scsi driver: numbered blocks, written with WRITE(10) and read back with READ(10). */
#ifndef SCSI_H
#define SCSI_H

#include "base.h"

void scsi_open(bool use_iommu);
/* Brings it to DRIVER_OK and asks for the disk's size. */
void scsi_start(u32 seed);
/* The size is known, and there is room for a block. */
bool scsi_ready(void);
/* Writes block `number` to sector (number - 1) modulo the capacity; only when scsi_ready. */
void scsi_submit(u32 number);
/* Takes what is done, and begins to read back what was written. */
void scsi_reap(void);
void scsi_configuration_changed(void);
bool scsi_interrupt_lost(void);

#endif
