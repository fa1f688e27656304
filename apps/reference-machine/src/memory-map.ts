/**
 * The physical address space of the reference machine, and the two blocks of RAM by which machine and guest talk.
 * `guest/memory-map.h` holds the same names and values for the guest; `test/memory-map.test.ts` holds them equal.
 */

/** First byte of RAM: where the guest's image is loaded and where the hart starts (a0: hart id, a1: boot block). */
export const RAM_BASE = 0x4000_0000;
/** The guest's page pool is the upper half of RAM; its image, tables and rings need the lower half of this. */
export const RAM_MIN_BYTES = 0x0010_0000;
/** RAM ends where 32 bits end. */
export const RAM_MAX_BYTES = 0xc000_0000;
/** Pages of RAM, of dirty tracking and of the IOMMU. */
export const PAGE_BYTES = 0x1000;

/**
 * The machine timer. mtimecmp and mtime are 64 bits, reached as 32-bit halves; the timer interrupt (mip bit 7) is up
 * while mtime >= mtimecmp. mtimecmp is all ones after reset.
 */
export const TIMER_BASE = 0x0200_0000;
export const TIMER_MTIMECMP_LOW = 0x4000;
export const TIMER_MTIMECMP_HIGH = 0x4004;
/** Ticks of the virtual clock. */
export const TIMER_MTIME_LOW = 0xbff8;
export const TIMER_MTIME_HIGH = 0xbffc;
export const TIMER_BYTES = 0xc000;
/** Ticks of mtime a second. */
export const TIMER_HZ = 10_000_000;

/** The interrupt controller: irqs 1..31, bit n for irq n. mip bit 11 is up while pending & enable is not 0. */
export const INTERRUPT_BASE = 0x0c00_0000;
/** Read-only. */
export const INTERRUPT_PENDING = 0x0;
export const INTERRUPT_ENABLE = 0x4;
/** A read gives the lowest pending and enabled irq and clears its pending bit; 0 if there is none. */
export const INTERRUPT_CLAIM = 0x8;
/** A 32-bit write of n makes irq n pending: the address of the devices' MSI-X messages. */
export const INTERRUPT_DOORBELL = 0x1000;
export const INTERRUPT_BYTES = 0x2000;
export const INTERRUPT_LAST_IRQ = 31;

/** A byte written to the first address is a character. */
export const CONSOLE_BASE = 0x0d00_0000;
export const CONSOLE_BYTES = 0x1000;

/** VT-d's registers, where PCs have them. */
export const VTD_BASE = 0x0fed_9000;
export const VTD_BYTES = 0x1000;

/** Where the guest places BARs. */
export const PCI_WINDOW_BASE = 0x2000_0000;
export const PCI_WINDOW_BYTES = 0x1000_0000;
/** Configuration space of bus 0: device << 15 | function << 12 | register. A function that is absent reads all ones. */
export const ECAM_BASE = 0x3000_0000;
export const ECAM_BYTES = 0x0010_0000;

/** The guest's image is shorter than this; what is behind it belongs to the two blocks. */
export const IMAGE_MAX_BYTES = 0x1_0000;
/** From RAM_BASE: written by the machine before reset. */
export const BOOT_BLOCK_OFFSET = 0x1_0000;
/** From RAM_BASE: written by the guest. */
export const STATUS_BLOCK_OFFSET = 0x1_1000;

/** "GDWT" */
export const BOOT_MAGIC = 0x5457_4447;
export const BOOT_BLOCK_BYTES = 0x20;
/** Offsets of the boot block's little-endian u32 fields. */
export const BOOT_BLOCK_MAGIC = 0x00;
export const BOOT_BLOCK_RAM_BYTES = 0x04;
/** Goes into every block and packet. */
export const BOOT_BLOCK_SEED = 0x08;
/** 0: the pool is left alone. */
export const BOOT_BLOCK_DIRTY_PAGES_PER_SECOND = 0x0c;
/** 1: program VT-d and use addresses that only it can translate; 0: leave it untouched. */
export const BOOT_BLOCK_USE_IOMMU = 0x10;
/** Stop after so many blocks and packets; 0: never. */
export const BOOT_BLOCK_MAX_BLOCKS = 0x14;
/** 0: as fast as they complete. */
export const BOOT_BLOCK_BLOCKS_PER_SECOND = 0x18;
/** PROFILE_*: which buses and devices the machine has. */
export const BOOT_BLOCK_PROFILE = 0x1c;

/** PCI behind VT-d. */
export const PROFILE_Q35 = 0;

/** "GWST" */
export const STATUS_MAGIC = 0x5453_5747;
export const STATUS_BLOCK_BYTES = 0x5c;
/** Offsets of the status block's little-endian u32 fields. */
export const STATUS_BLOCK_MAGIC = 0x00;
/** STAGE_* */
export const STATUS_BLOCK_STAGE = 0x04;
export const STATUS_BLOCK_SEED = 0x08;
/** One a second while the guest runs. */
export const STATUS_BLOCK_HEARTBEAT = 0x0c;
/** Number of the last block that was given to the device; set before the device can know. */
export const STATUS_BLOCK_BLOCKS_SUBMITTED = 0x10;
/** This block and all before it have completed. */
export const STATUS_BLOCK_BLOCKS_COMPLETED = 0x14;
export const STATUS_BLOCK_PACKETS_SUBMITTED = 0x18;
export const STATUS_BLOCK_PACKETS_COMPLETED = 0x1c;
export const STATUS_BLOCK_PACKETS_RECEIVED = 0x20;
/** First byte of the page pool, from RAM_BASE. */
export const STATUS_BLOCK_POOL_OFFSET = 0x24;
export const STATUS_BLOCK_POOL_PAGES = 0x28;
/** Pages marked in all; counted when a page is done. Visit v (from 0) is of page v modulo the number of pages. */
export const STATUS_BLOCK_POOL_VISITS_LOW = 0x2c;
export const STATUS_BLOCK_POOL_VISITS_HIGH = 0x30;
/** 1 once translation is on. */
export const STATUS_BLOCK_IOMMU_ENABLED = 0x34;
/** Buffer pages that were moved behind the device's address. */
export const STATUS_BLOCK_REMAPS = 0x38;
/** Irqs claimed. */
export const STATUS_BLOCK_INTERRUPTS = 0x3c;
export const STATUS_BLOCK_DISK_SECTORS = 0x40;
export const STATUS_BLOCK_ERROR_COUNT = 0x44;
/** ERROR_* of the first error, 0 for none. */
export const STATUS_BLOCK_ERROR_CODE = 0x48;
/** Of the first error; what it means depends on the code. */
export const STATUS_BLOCK_ERROR_DETAIL = 0x4c;
/** mcause, mepc and mtval of the exception behind ERROR_TRAP. */
export const STATUS_BLOCK_TRAP_CAUSE = 0x50;
export const STATUS_BLOCK_TRAP_PC = 0x54;
export const STATUS_BLOCK_TRAP_VALUE = 0x58;

/** Stages are reached in this order. */
export const STAGE_STARTED = 1;
/** The PCI functions are found and placed. */
export const STAGE_PCI = 2;
/** Translation is on; skipped without an IOMMU. */
export const STAGE_IOMMU = 3;
/** Both devices are at DRIVER_OK. */
export const STAGE_VIRTIO = 4;
export const STAGE_RUNNING = 5;
/** All of BOOT_BLOCK_MAX_BLOCKS have completed; the pool is still visited. */
export const STAGE_FINISHED = 6;
/** Stopped by an error that leaves nothing to go on with. */
export const STAGE_HALTED = 255;

/** A field of the boot block is wrong; detail: the field. */
export const ERROR_BOOT_BLOCK = 1;
/** An exception; detail: mcause. */
export const ERROR_TRAP = 2;
/** An irq that was not enabled; detail: the irq. */
export const ERROR_IRQ = 3;
/** A PCI function is missing; detail: vendor << 16 | device. */
export const ERROR_PCI_DEVICE = 4;
/** A BAR does not fit the window. */
export const ERROR_PCI_BAR = 5;
/** No usable virtio register block; detail: its cfg_type. */
export const ERROR_PCI_CAPABILITY = 6;
/** MSI-X is missing, too small, or refused a vector. */
export const ERROR_MSIX = 7;
/** VERSION_1, or with an IOMMU ACCESS_PLATFORM, is not offered, or FEATURES_OK was not kept. */
export const ERROR_VIRTIO_FEATURES = 8;
/** A queue is missing or too small; detail: queue << 16 | size. */
export const ERROR_VIRTIO_QUEUE = 9;
/** A device asks for a reset; detail: requester << 8 | device status. */
export const ERROR_VIRTIO_NEEDS_RESET = 10;
/** A used index ran ahead of what was available; detail: queue << 16 | index. */
export const ERROR_USED_INDEX = 11;
/** A used element names a chain that is not in flight; detail: queue << 16 | id (1: transmit, 2: receive, 0: disk). */
export const ERROR_USED_ID = 12;
/** A used element's length is not what the device may have written; detail as above with the length. */
export const ERROR_USED_LENGTH = 13;
/** Something completed, but its interrupt never came; detail: the irq. */
export const ERROR_LOST_INTERRUPT = 14;
/** A block request failed; detail: block << 8 | status. */
export const ERROR_DISK_STATUS = 15;
/** The disk is empty. */
export const ERROR_DISK_CAPACITY = 16;
/** VT-d offers neither 3 nor 4 levels; detail: CAP bits 31:0. */
export const ERROR_VTD_CAPABILITY = 17;
/** VT-d did not answer within a second; detail: the register. */
export const ERROR_VTD_TIMEOUT = 18;
/** VT-d did not do an invalidation; detail: the register's high half. */
export const ERROR_VTD_INVALIDATION = 19;
/** VT-d recorded a fault; detail: requester << 8 | reason. */
export const ERROR_VTD_FAULT = 20;
/** The guest's DMA area is too small; detail: pages wanted. */
export const ERROR_DMA_SPACE = 21;
