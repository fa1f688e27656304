/* The virtio-rng driver: pieces of entropy that the host numbers, drawn one after another and checked. */
#ifndef ENTROPY_H
#define ENTROPY_H

#include "base.h"

void entropy_open(bool use_iommu);
/* Brings it to DRIVER_OK and asks for the first pieces. */
void entropy_start(u32 seed);
/* Takes the pieces that have come, and asks for as many again. */
void entropy_reap(void);
void entropy_configuration_changed(void);
bool entropy_interrupt_lost(void);

#endif
