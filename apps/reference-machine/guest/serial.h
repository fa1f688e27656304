/* The virtio-console driver, for one serial port by the multiport protocol: numbered lines out, numbered lines in. */
#ifndef SERIAL_H
#define SERIAL_H

#include "base.h"

void serial_open(bool use_iommu);
/* Brings it to DRIVER_OK; the port is there some interrupts later. */
void serial_start(u32 seed);
/* The port is open at both ends, and there is room for a line. */
bool serial_ready(void);
/* Sends line `number`; only when serial_ready. */
void serial_submit(u32 number);
/* Each on its queue's interrupt. */
void serial_reap_control(void);
void serial_reap_receive(void);
void serial_reap_transmit(void);
void serial_configuration_changed(void);
bool serial_control_interrupt_lost(void);
bool serial_receive_interrupt_lost(void);
bool serial_transmit_interrupt_lost(void);

#endif
