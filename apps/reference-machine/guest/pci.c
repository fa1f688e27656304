/* Register layouts: PCI Local Bus 3.0, 6.1 (configuration header), 6.2.5.1 (BAR sizing), 6.8.2 (MSI-X). */
#include "pci.h"
#include "status.h"
#include "vtd.h"

#define VENDOR_ID 0x00
#define DEVICE_ID 0x02
#define COMMAND 0x04
#define STATUS 0x06
#define HEADER_TYPE 0x0e
#define FIRST_BAR 0x10
#define CAPABILITIES 0x34

#define COMMAND_MEMORY 0x2
#define COMMAND_BUS_MASTER 0x4
#define COMMAND_INTX_DISABLE 0x400
#define STATUS_CAPABILITIES 0x10

#define CAPABILITY_MSIX 0x11
#define MSIX_ENABLE 0x8000
#define MSIX_FUNCTION_MASK 0x4000

static u32 next_address = PCI_WINDOW_BASE;

static bool is_at(struct pci_function *function, u32 slot, u32 number, u16 vendor, u16 device) {
  u32 config = ECAM_BASE + (slot << 15) + (number << 12);
  if (read16(config + VENDOR_ID) != vendor || read16(config + DEVICE_ID) != device) return false;
  function->config = config;
  function->requester = slot << 3 | number;
  return true;
}

static bool find(struct pci_function *function, u16 vendor, u16 device) {
  for (u32 slot = 0; slot < 32; slot++) {
    u32 functions = 1;
    for (u32 number = 0; number < functions; number++) {
      u32 config = ECAM_BASE + (slot << 15) + (number << 12);
      if (read16(config + VENDOR_ID) == 0xffff) continue;
      if (number == 0 && read8(config + HEADER_TYPE) & 0x80) functions = 8;
      if (is_at(function, slot, number, vendor, device)) return true;
    }
  }
  return false;
}

static u32 place(u32 bytes) {
  u32 address = (next_address + bytes - 1) & ~(bytes - 1);
  if (address - PCI_WINDOW_BASE > PCI_WINDOW_BYTES - bytes) fatal(ERROR_PCI_BAR, bytes);
  next_address = address + bytes;
  return address;
}

/* Sizes and places the BAR in register `index`; answers how many registers it takes. */
static u32 place_bar(struct pci_function *function, u32 index) {
  u32 at = function->config + FIRST_BAR + 4 * index;
  u32 kind = read32(at);
  write32(at, 0xffffffff);
  u32 mask = read32(at);
  if (kind & 1) {
    write32(at, 0); /* an I/O BAR: this machine has no I/O space, and I/O decoding stays off */
    return 1;
  }
  bool wide = (kind >> 1 & 3) == 2;
  if (wide) {
    write32(at + 4, 0xffffffff);
    if ((mask & ~0xfu) == 0 && read32(at + 4) != 0) fatal(ERROR_PCI_BAR, index);
  }
  u32 bytes = ~(mask & ~0xfu) + 1;
  /* A function that is opened again keeps its place. */
  u32 address = function->bars[index] ? function->bars[index] : bytes ? place(bytes) : 0;
  write32(at, address);
  if (wide) write32(at + 4, 0);
  function->bars[index] = address;
  function->bar_bytes[index] = bytes;
  return wide ? 2 : 1;
}

static void place_all(struct pci_function *function) {
  /* Decoding is off while the BARs hold the sizing pattern. */
  u16 command = read16(function->config + COMMAND) & (u16) ~(COMMAND_MEMORY | COMMAND_BUS_MASTER | 1);
  write16(function->config + COMMAND, command);
  for (u32 index = 0; index < 6;) index += place_bar(function, index);
  command |= COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE;
  write16(function->config + COMMAND, command);
}

void pci_open(struct pci_function *function, u16 vendor, u16 device) {
  if (!find(function, vendor, device)) fatal(ERROR_PCI_DEVICE, (u32)vendor << 16 | device);
  place_all(function);
}

bool pci_open_at(struct pci_function *function, u32 requester, u16 vendor, u16 device) {
  if (!is_at(function, requester >> 3 & 31, requester & 7, vendor, device)) return false;
  place_all(function);
  return true;
}

void pci_close(struct pci_function *function) {
  u16 command = read16(function->config + COMMAND) & (u16) ~(COMMAND_MEMORY | COMMAND_BUS_MASTER);
  write16(function->config + COMMAND, command);
}

u32 pci_capability(const struct pci_function *function, u8 id, u32 after) {
  if (!(read16(function->config + STATUS) & STATUS_CAPABILITIES)) return 0;
  u32 at = read8(function->config + (after ? after + 1 : CAPABILITIES)) & 0xfc;
  for (u32 left = 48; at >= 0x40 && left; left--) {
    if (read8(function->config + at) == id) return at;
    at = read8(function->config + at + 1) & 0xfc;
  }
  return 0;
}

void pci_msix_start(struct pci_function *function, u32 vectors, u32 first_irq) {
  u32 capability = pci_capability(function, CAPABILITY_MSIX, 0);
  if (!capability) fatal(ERROR_MSIX, 0);
  u32 control_at = function->config + capability + 2;
  u16 control = read16(control_at);
  u32 table = read32(function->config + capability + 4);
  u32 bar = table & 7;
  function->msix_vectors = (control & 0x7ffu) + 1;
  if (function->msix_vectors < vectors) fatal(ERROR_MSIX, function->msix_vectors);
  if (bar > 5 || !function->bars[bar]) fatal(ERROR_MSIX, table);
  function->msix_table = function->bars[bar] + (table & ~7u);
  write16(control_at, control | MSIX_ENABLE | MSIX_FUNCTION_MASK);
  for (u32 vector = 0; vector < vectors; vector++) {
    u32 entry = function->msix_table + 16 * vector;
    write32(entry + 12, 1);
    struct message message = vtd_message(function->requester, first_irq + vector);
    write64(entry, message.address, 0);
    write32(entry + 8, message.data);
    write32(entry + 12, 0);
  }
  write16(control_at, (u16)((control | MSIX_ENABLE) & ~MSIX_FUNCTION_MASK));
}
