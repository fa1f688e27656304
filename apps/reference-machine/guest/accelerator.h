/* The driver of the accelerator, a device of no standard: numbered jobs, each with a result that is checked. */
#ifndef ACCELERATOR_H
#define ACCELERATOR_H

#include "base.h"

void accelerator_open(bool use_iommu);
void accelerator_start(void);
bool accelerator_ready(void);
/* Starts job `number`; only when accelerator_ready. */
void accelerator_submit(u32 number);
/* Takes and checks the results that are there, on its interrupt. */
void accelerator_reap(void);
/* Tells changes between calls: results waiting that no interrupt has led to being taken. */
bool accelerator_interrupt_lost(void);

#endif
