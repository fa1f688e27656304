/* The devices beside disk and network, as far as the profile has them: entropy, balloon, serial port, SCSI disk,
   accelerator. Each of these calls does its part for all of them. */
#ifndef PERIPHERALS_H
#define PERIPHERALS_H

#include "base.h"

/* Pages at the end of the pool that the balloon may have: 0 where the profile has no balloon. */
u32 peripherals_balloon_pages(u32 profile, u32 pool_pages);

void peripherals_open(u32 profile, bool use_iommu);
/* `balloon_first`: address of the balloon's pages. */
void peripherals_start(u32 seed, u32 balloon_first, u32 balloon_pages);
/* Takes what has arrived: bit n for irq n. */
void peripherals_take(u32 arrived);
/* Begins what is due after so many blocks. */
void peripherals_work(u32 blocks);
/* All that is due after so many blocks is done. */
bool peripherals_finished(u32 blocks);
/* Call about once a second: finds interrupts that were lost. */
void peripherals_beat(void);

#endif
