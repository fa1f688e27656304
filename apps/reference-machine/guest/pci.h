/* PCI bus 0 by ECAM: finding functions, giving their BARs addresses, walking capabilities, MSI-X. */
#ifndef PCI_H
#define PCI_H

#include "base.h"

struct pci_function {
  u32 config;      /* address of its 4 KiB of configuration space */
  u32 requester;   /* bus, device, function: 0xbbdf as DMA carries it */
  u32 bars[6];     /* address of each memory BAR, 0 where there is none */
  u32 bar_bytes[6];
  u32 msix_table;  /* address of the vector table */
  u32 msix_vectors;
};

/* Finds the function, places its BARs, and lets it decode memory and master the bus; fatal if there is none. */
void pci_open(struct pci_function *function, u16 vendor, u16 device);

/* The same for the function at `requester`; false if another is there, or none. One that was open before gets its
   addresses again. */
bool pci_open_at(struct pci_function *function, u32 requester, u16 vendor, u16 device);

/* The function neither decodes nor masters the bus any more. */
void pci_close(struct pci_function *function);

/* Offset of the next capability with `id` after the one at `after` (0: the first), or 0. */
u32 pci_capability(const struct pci_function *function, u8 id, u32 after);

/* Routes MSI-X vectors 0 .. vectors-1 to irqs first_irq, first_irq + 1 ... and switches MSI-X on. */
void pci_msix_start(struct pci_function *function, u32 vectors, u32 first_irq);

#endif
