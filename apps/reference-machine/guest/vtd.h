/* The IOMMU: one second-level address space a device, in VT-d legacy mode, and its interrupts by a table. */
#ifndef VTD_H
#define VTD_H

#include "base.h"

#define VTD_READ 1u
#define VTD_WRITE 2u

struct vtd_domain {
  u32 id;
  u32 *top; /* the root of its second-level tables */
};

/* Reads what the unit can do and prepares its root and context tables; fatal if it lacks what is needed. */
void vtd_prepare(void);

/* Gives the requester an empty address space of its own. */
void vtd_attach(struct vtd_domain *domain, u32 id, u32 requester);

/* Lets the device reach the page at `physical` under `address`, with `access` (VTD_READ, VTD_WRITE), from now on.
   A page that was mapped elsewhere needs vtd_forget afterwards. */
void vtd_map(struct vtd_domain *domain, u32 address, u32 physical, u32 access);

/* Drops what the unit has cached of the page: by itself if `page_selective`, else with its whole domain. */
void vtd_forget(const struct vtd_domain *domain, u32 address, bool page_selective);

/* Hands over the tables and switches translation on, and interrupt remapping where the unit can. */
void vtd_enable(void);

/* What a device writes to interrupt. */
struct message {
  u32 address;
  u32 data;
};

/* The message by which the device at `requester` raises `irq`: through a table entry that only that device may use, where
   interrupts are remapped, and straight to the interrupt controller elsewhere. */
struct message vtd_message(u32 requester, u32 irq);

/* Reports a fault that the unit has recorded as an error, and clears it. */
void vtd_check(void);

#endif
