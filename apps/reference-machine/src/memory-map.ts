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
/** Messages that VT-d has remapped: a write here of vector INTERRUPT_VECTOR + n makes irq n pending. */
export const INTERRUPT_MESSAGES = 0xfee0_0000;
export const INTERRUPT_VECTOR = 0x20;
export const INTERRUPT_BYTES = 0x2000;
export const INTERRUPT_LAST_IRQ = 31;

/** A byte written to the first address is a character. */
export const CONSOLE_BASE = 0x0d00_0000;
export const CONSOLE_BYTES = 0x1000;

/**
 * The channel subsystem: what stands for the I/O instructions of z/Architecture and for DIAGNOSE 0x500, which the hart
 * does not have. All registers are 32 bits. The structures in RAM are the architecture's, and big-endian.
 */
export const CHANNEL_BASE = 0x0e00_0000;
/** General register 1: the subsystem-identification word, 0x0001_0000 + number of the subchannel. */
export const CHANNEL_SUBSYSTEM_ID = 0x00;
/** The instruction's second operand: an address in RAM. */
export const CHANNEL_OPERAND = 0x04;
/** Writing an opcode (0xb233 is SSCH) carries the instruction out before the next one of the hart. */
export const CHANNEL_INSTRUCTION = 0x08;
/** Read-only. The condition code of the last one, 0 to 3; 4: an operand exception, 5: an addressing exception. */
export const CHANNEL_OUTCOME = 0x0c;
/** The first byte of control register 6: 0x80 >> n lets interruptions of subclass n through. */
export const CHANNEL_SUBCLASSES = 0x10;
/** Writing n notifies queue n of the subchannel's device; the outcome is 0, or 3 where there is no such queue. */
export const CHANNEL_NOTIFY = 0x14;
export const CHANNEL_BYTES = 0x1000;
/** Raised when an interruption that is let through becomes pending; TPI tells which. */
export const CHANNEL_IRQ = 30;
/** Raised once until STCRW finds nothing: channel reports are pending, the architecture's machine check. */
export const CHANNEL_REPORT_IRQ = 29;

/**
 * The doorbell of RTAS. A 32-bit write gives the address of an argument block in RAM, and the call is done before the
 * next instruction: big-endian words as PAPR has them, the token, the number of arguments and of results, the arguments,
 * room for the results (the status is the first). A block that is not in RAM is an access fault.
 */
export const RTAS_BASE = 0x0f00_0000;
export const RTAS_CALL = 0x0;
export const RTAS_BYTES = 0x1000;
export const RTAS_TOKEN_SET_INDICATOR = 0x2001;
export const RTAS_TOKEN_GET_SENSOR_STATE = 0x2002;
export const RTAS_TOKEN_CONFIGURE_CONNECTOR = 0x2003;
export const RTAS_TOKEN_CHECK_EXCEPTION = 0x2004;
export const RTAS_TOKEN_EVENT_SCAN = 0x2005;
/** Raised for each new event, and where the machine goes on with some that were not fetched. */
export const HOTPLUG_IRQ = 16;

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
/** PCI without an IOMMU, connectors and RTAS. */
export const PROFILE_PSERIES = 2;
/** Channel I/O. */
export const PROFILE_S390_CCW = 1;

/** "GWST" */
export const STATUS_MAGIC = 0x5453_5747;
export const STATUS_BLOCK_BYTES = 0xb8;
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
/** Pieces of entropy that came whole, each with a number above all before. */
export const STATUS_BLOCK_DRAWS = 0x5c;
/** The highest number drawn. */
export const STATUS_BLOCK_DRAWS_LAST_NUMBER = 0x60;
/** Pieces whose number was not above the last one's. */
export const STATUS_BLOCK_DRAWS_REPEATED = 0x64;
export const STATUS_BLOCK_DRAWS_TORN = 0x68;
/** Lines out of the serial port, as blocks. */
export const STATUS_BLOCK_LINES_SUBMITTED = 0x6c;
export const STATUS_BLOCK_LINES_COMPLETED = 0x70;
/** Lines of the host that came whole and in their turn. */
export const STATUS_BLOCK_LINES_TAKEN = 0x74;
export const STATUS_BLOCK_LINES_LOST = 0x78;
export const STATUS_BLOCK_LINES_REPEATED = 0x7c;
export const STATUS_BLOCK_LINES_TORN = 0x80;
/** First byte of the pages that the balloon may have, from RAM_BASE: they follow the pool. */
export const STATUS_BLOCK_BALLOON_OFFSET = 0x84;
export const STATUS_BLOCK_BALLOON_PAGES = 0x88;
/** Pages that the host wants, as the guest last read it. */
export const STATUS_BLOCK_BALLOON_TARGET = 0x8c;
/** The first so many of them are given up for certain, and read as zeros. */
export const STATUS_BLOCK_BALLOON_ACTUAL = 0x90;
/** From here on they are the guest's, and marked; in between a request is under way. */
export const STATUS_BLOCK_BALLOON_GIVEN = 0x94;
/** Pages taken back in all. */
export const STATUS_BLOCK_BALLOON_RETURNS = 0x98;
/** Blocks on the SCSI disk, as the other disk's. */
export const STATUS_BLOCK_SCSI_SUBMITTED = 0x9c;
/** This block and all before it are written, and were read back as they were written. */
export const STATUS_BLOCK_SCSI_COMPLETED = 0xa0;
export const STATUS_BLOCK_SCSI_SECTORS = 0xa4;
/** Jobs of the accelerator, as blocks. */
export const STATUS_BLOCK_JOBS_SUBMITTED = 0xa8;
export const STATUS_BLOCK_JOBS_COMPLETED = 0xac;
/** Jobs whose result was not theirs, or lost or repeated. */
export const STATUS_BLOCK_JOBS_WRONG = 0xb0;
/** 1 once interrupts go through the IOMMU's table. */
export const STATUS_BLOCK_INTERRUPTS_REMAPPED = 0xb4;

/** Network cards that can be plugged while the guest runs, and so many card blocks, one behind the other. */
export const CARD_COUNT = 3;
/** From RAM_BASE: written by the guest. A card gets the first free block when it is announced. */
export const CARD_BLOCK_OFFSET = 0x1_1800;
export const CARD_BLOCK_BYTES = 0x34;
/** Offsets of a card block's little-endian u32 fields. Its connector's index; 0: the block is free. */
export const CARD_BLOCK_CONNECTOR = 0x00;
/** CARD_STAGE_* */
export const CARD_BLOCK_STAGE = 0x04;
/** Events that announced it. */
export const CARD_BLOCK_EVENTS = 0x08;
/** Of its device tree: how many the walk under way has had, or the last one had in all. */
export const CARD_BLOCK_TOKENS = 0x0c;
/** Times that firmware said that it will have the next token later. */
export const CARD_BLOCK_BUSY = 0x10;
/** Walks that came to the tree's end and found it whole; counted when the three fields below are of the last one. */
export const CARD_BLOCK_WALKS = 0x14;
export const CARD_BLOCK_NODES = 0x18;
export const CARD_BLOCK_PROPERTIES = 0x1c;
/** FNV-1a of all tokens, names and values. */
export const CARD_BLOCK_CHECKSUM = 0x20;
/** Times that it was given back to firmware. */
export const CARD_BLOCK_RELEASES = 0x24;
/** Set before the device can know. */
export const CARD_BLOCK_PACKETS_SUBMITTED = 0x28;
/** This packet and all before it have completed. */
export const CARD_BLOCK_PACKETS_COMPLETED = 0x2c;
/** device << 3 | function, as the tree said. */
export const CARD_BLOCK_SLOT = 0x30;

/** Its event has been fetched. */
export const CARD_STAGE_ANNOUNCED = 1;
/** Its device tree is being fetched. */
export const CARD_STAGE_WALKING = 2;
export const CARD_STAGE_IN_USE = 3;
/** Its connector is isolated; the guest will configure it again. */
export const CARD_STAGE_RELEASED = 4;
/** Its tree was not whole: it is left alone. */
export const CARD_STAGE_FAILED = 5;

/** From RAM_BASE: what the guest counts of channel I/O, little-endian u32 fields. */
export const CHANNEL_BLOCK_OFFSET = 0x1_1c00;
export const CHANNEL_BLOCK_BYTES = 0x14;
/** Channel programs that have ended. */
export const CHANNEL_BLOCK_PROGRAMS = 0x00;
/** Interruptions of subchannels, and of adapters. */
export const CHANNEL_BLOCK_SUBCHANNEL_INTERRUPTIONS = 0x04;
export const CHANNEL_BLOCK_ADAPTER_INTERRUPTIONS = 0x08;
/** Channel reports, one for each reset of the channel path. */
export const CHANNEL_BLOCK_REPORTS = 0x0c;
/** Interruptions whose status had been taken already. */
export const CHANNEL_BLOCK_WITHOUT_STATUS = 0x10;

/** Stages are reached in this order. */
export const STAGE_STARTED = 1;
/** The PCI functions are found and placed. */
export const STAGE_PCI = 2;
/** Translation is on; skipped without an IOMMU. */
export const STAGE_IOMMU = 3;
/** All devices are at work. */
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
/**
 * A used element names a chain that is not in flight; detail: queue << 16 | id. Queues are 0: disk, 1: transmit,
 * 2: receive, 3: entropy, 4: the serial port's, 6: the balloon's, 7: SCSI.
 */
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
/** No channel has a virtio device of this kind; detail: its control-unit model. */
export const ERROR_CHANNEL_DEVICE = 22;
/** An I/O instruction did not do what it must; detail: opcode << 16 | subchannel << 4 | outcome. */
export const ERROR_CHANNEL_INSTRUCTION = 23;
/** A channel program failed; detail: command << 24 | subchannel << 16 | device status << 8 | channel status. */
export const ERROR_CHANNEL_PROGRAM = 24;
/** An interruption of nobody's; detail: its identification word | subchannel. */
export const ERROR_CHANNEL_INTERRUPTION = 25;
/** An indicator that is no queue's; detail: the byte's offset << 8 | the byte. */
export const ERROR_CHANNEL_INDICATOR = 26;
/** A device's status is not what the driver set; detail: subchannel << 8 | status. */
export const ERROR_CHANNEL_STATUS = 27;
/** A channel report is missing, or is not the one asked for; detail: the channel-report word, 0 where none came. */
export const ERROR_CHANNEL_REPORT = 28;
/** A SCSI command failed; detail: block << 16 | response << 8 | status. */
export const ERROR_SCSI_STATUS = 40;
/** A block was read back as another one than was written; detail: the block. */
export const ERROR_SCSI_DATA = 41;
/** The SCSI disk is empty or has other sectors than 512 bytes; detail: bytes of a sector. */
export const ERROR_SCSI_CAPACITY = 42;
/** A page was not as it was left before it was given up, or not zero when it came back; detail: its number. */
export const ERROR_BALLOON_PAGE = 43;
/** The host wants more pages than the balloon may have; detail: how many. The guest gives all that it can. */
export const ERROR_BALLOON_TARGET = 44;
/** A control message that makes no sense here; detail: port << 16 | event. */
export const ERROR_CONSOLE_CONTROL = 45;
/** The accelerator's result is not that of its job; detail: the job. */
export const ERROR_JOB_RESULT = 46;

/** The accelerator, a PCI function: device memory in BAR 0, registers in BAR 2, the MSI-X table in BAR 4. */
export const ACCELERATOR_VENDOR = 0x6764;
export const ACCELERATOR_DEVICE = 0x0001;
export const ACCELERATOR_MEMORY_BYTES = 0x1_0000;
/** Each job writes one page of device memory. */
export const ACCELERATOR_PAGE_BYTES = 0x400;
/**
 * Writing an address to it does the next job, and puts the job's number (from 1) and the checksum of all jobs there, u32
 * each; then comes the interrupt.
 */
export const ACCELERATOR_DOORBELL = 0x0;
/** Jobs done. */
export const ACCELERATOR_JOBS = 0x4;
/** An RTAS call answered what it must not; detail: token << 16 | low half of the status. */
export const ERROR_RTAS_STATUS = 60;
/** An event that is not of hot-plug, or of too many cards; detail: the log's summary, or the connector. */
export const ERROR_HOTPLUG_EVENT = 61;
/** A device tree that does not end where it began, or is not what its checksum says; detail: the connector. */
export const ERROR_DEVICE_TREE = 62;
/** The card is not in the slot that its tree names; detail: device << 3 | function. */
export const ERROR_CARD_SLOT = 63;
