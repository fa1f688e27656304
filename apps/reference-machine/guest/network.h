/* The virtio-net driver: numbered packets, sent in order, up to SLOT_COUNT in flight; what comes in is counted. */
#ifndef NETWORK_H
#define NETWORK_H

#include "base.h"

/* Finds the device and opens its DMA address space. */
void network_open(bool use_iommu);
/* Brings it to DRIVER_OK and posts receive buffers; with an IOMMU, after translation is on. */
void network_start(u32 seed);
bool network_ready(void);
/* Sends packet `number`; only when network_ready. */
void network_submit(u32 number);
/* Takes what has been sent, and what has been received, each on its queue's interrupt. */
void network_reap_transmit(void);
void network_reap_receive(void);
void network_configuration_changed(void);
/* As disk_interrupt_lost, for each queue. */
bool network_transmit_interrupt_lost(void);
bool network_receive_interrupt_lost(void);
const u8 *network_mac(void);

#endif
