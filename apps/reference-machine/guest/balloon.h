/* The virtio-balloon driver: gives up pages that it has marked, as many as the host wants, and takes them back. */
#ifndef BALLOON_H
#define BALLOON_H

#include "base.h"

/* It has no more than these. */
#define BALLOON_MAX_PAGES 256

void balloon_open(bool use_iommu);
/* Brings it to DRIVER_OK and marks `pages` pages from `first` on, which belong to it from now on. */
void balloon_start(u32 first, u32 pages);
/* Begins the next request, if the host wants another number of pages and none is under way. `number`: the last block. */
void balloon_work(u32 number);
/* A request is done; one interrupt for both queues. */
void balloon_reap(void);
/* The host may want another number of pages. */
void balloon_configuration_changed(void);
bool balloon_interrupt_lost(void);

#endif
