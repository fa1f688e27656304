/* Hot-plug: events, connectors and the cards in them. One thing at a time: while a tree is fetched, events wait, and so
   do cards that were given back to firmware. */
#ifndef CONNECTOR_H
#define CONNECTOR_H

#include "base.h"

/* All that follows does nothing before this. */
void hotplug_start(u32 seed);
/* `arrived`: bit n for irq n. */
void hotplug_take_interrupts(u32 arrived);
/* Does what is due. */
void hotplug_work(u64 now);
/* When there is something to do again. */
u64 hotplug_deadline(void);
/* About once a second: finds interrupts that never came. */
void hotplug_watch(void);

#endif
