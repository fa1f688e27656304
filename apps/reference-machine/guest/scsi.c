/* Sources: Virtual I/O Device specification 1.2, 5.6 (SCSI host device); SBC-3, 5 (commands; big-endian). */
#include "scsi.h"
#include "evidence.h"
#include "interrupt.h"
#include "slots.h"
#include "status.h"
#include "virtio.h"
#include "watch.h"

#define DOMAIN 6
#define WINDOW 0x0c060000
#define CONFIG_BYTES 36
/* Behind the control and the event queue. */
#define QUEUE_REQUEST 2
/* In the numbers of ERROR_USED_ID and ERROR_USED_LENGTH. */
#define QUEUE_NAME 7

#define READ_CAPACITY_10 0x25
#define READ_10 0x28
#define WRITE_10 0x2a

#define HEADER_BYTES 51 /* with 32 bytes of command */
#define HEADER_COMMAND 19
#define HEADER_SLOT_BYTES 64
#define RESPONSE_BYTES 108 /* with 96 bytes of sense */
#define RESPONSE_STATUS 10
#define RESPONSE_CODE 11
#define RESPONSE_SENSE_KEY 14
#define RESPONSE_SLOT_BYTES 128
#define RESPONSE_UNTOUCHED 0xff
#define CAPACITY_BYTES 8
#define CHECK_CONDITION 2
#define UNIT_ATTENTION 6
#define DESCRIPTORS 3
/* The blocks of this disk must not pass for those of the other one. */
#define SEED_SPREAD 0x49534353

/* The data straddle the buffer's two pages. */
#define DATA_OFFSET (PAGE_BYTES - BLOCK_BYTES / 2)
/* Behind the responses, in the page that the device writes. */
#define READ_OFFSET 1024

enum doing { WRITING, READING, ASKING };

static struct virtio_device device;
static struct virtqueue queue;
static struct slot slots[SLOT_COUNT];
static enum doing doing[SLOT_COUNT];
static struct dma_page headers;
static struct dma_page answers;
static struct watch watch;
static u32 sectors;
static u32 seed;

void scsi_open(bool use_iommu) { virtio_open(&device, VIRTIO_SCSI, CONFIG_BYTES, use_iommu, DOMAIN, WINDOW); }

static u8 *put_big_endian(u8 *at, u32 value) {
  for (u32 shift = 32; shift; shift -= 8) *at++ = (u8)(value >> (shift - 8));
  return at;
}

static u32 get_big_endian(const volatile u8 *at) {
  return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3];
}

static u8 *response_of(u32 index) { return (u8 *)answers.memory + RESPONSE_SLOT_BYTES * index; }

static u8 *data_of(u32 index) { return (u8 *)answers.memory + READ_OFFSET + BLOCK_BYTES * index; }

/* Target 0, unit 0. The tag is the slot, and so belongs to one request at a time. */
static void write_header(u32 index, u8 command, u32 sector) {
  u8 header[HEADER_BYTES] = {0};
  header[0] = 1;
  header[2] = 0x40;
  header[8] = (u8)(index + 1);
  header[HEADER_COMMAND] = command;
  put_big_endian(&header[HEADER_COMMAND + 2], sector);
  header[HEADER_COMMAND + 8] = command == READ_CAPACITY_10 ? 0 : 1;
  copy_bytes((u8 *)headers.memory + HEADER_SLOT_BYTES * index, header, HEADER_BYTES);
}

/* A device's reads stand before its writes in a chain: data out come before the response, data in behind it. */
static void offer(u32 index, u32 out, u32 in_bytes) {
  u16 head = (u16)(DESCRIPTORS * index);
  u32 response = answers.address + RESPONSE_SLOT_BYTES * index;
  u16 second = head + 1, third = head + 2;
  response_of(index)[RESPONSE_STATUS] = RESPONSE_UNTOUCHED;
  virtqueue_describe(&queue, head, headers.address + HEADER_SLOT_BYTES * index, HEADER_BYTES, DESCRIPTOR_NEXT, second);
  if (out) {
    virtqueue_describe(&queue, second, out, BLOCK_BYTES, DESCRIPTOR_NEXT, third);
    virtqueue_describe(&queue, third, response, RESPONSE_BYTES, DESCRIPTOR_WRITE, 0);
  } else {
    u32 data = answers.address + READ_OFFSET + BLOCK_BYTES * index;
    virtqueue_describe(&queue, second, response, RESPONSE_BYTES, DESCRIPTOR_WRITE | DESCRIPTOR_NEXT, third);
    virtqueue_describe(&queue, third, data, in_bytes, DESCRIPTOR_WRITE, 0);
  }
  virtqueue_offer(&queue, head);
  virtqueue_notify(&queue);
}

static void begin(u32 index) {
  u32 out = doing[index] == WRITING ? slots[index].buffer.address + DATA_OFFSET : 0;
  offer(index, out, doing[index] == ASKING ? CAPACITY_BYTES : BLOCK_BYTES);
}

void scsi_start(u32 evidence_seed) {
  seed = evidence_seed ^ SEED_SPREAD;
  virtio_negotiate(&device, 0);
  device.transport->interrupts(&device, 2, IRQ_SCSI_CONFIG);
  virtio_queue_start(&device, &queue, QUEUE_REQUEST, 1);
  if (queue.size < SLOT_COUNT * DESCRIPTORS) fatal(ERROR_VIRTIO_QUEUE, QUEUE_REQUEST << 16 | queue.size);
  headers = dma_page_new(&device.space, VTD_READ);
  answers = dma_page_new(&device.space, VTD_WRITE);
  for (u32 slot = 0; slot < SLOT_COUNT; slot++) dma_buffer_new(&device.space, &slots[slot].buffer);
  virtio_driver_ok(&device);
  doing[0] = ASKING;
  slots[0].number = 0xffffffff;
  write_header(0, READ_CAPACITY_10, 0);
  begin(0);
}

bool scsi_ready(void) { return sectors != 0 && slot_find(slots, 0) != SLOT_COUNT; }

static u32 sector_of(u32 number) { return (number - 1) % sectors; }

void scsi_submit(u32 number) {
  u32 index = slot_find(slots, number);
  struct slot *slot = &slots[index];
  if (number % 16 == 0) dma_buffer_swap(&device.space, &slot->buffer);
  u8 block[BLOCK_BYTES];
  evidence_block(block, number, seed);
  dma_buffer_write(&slot->buffer, DATA_OFFSET, block, BLOCK_BYTES);
  write_header(index, WRITE_10, sector_of(number));
  slot->number = number;
  doing[index] = WRITING;
  status_set(STATUS_BLOCK_SCSI_SUBMITTED, number);
  begin(index);
}

static void finish(u32 index) {
  slots[index].number = 0;
  status_set(STATUS_BLOCK_SCSI_COMPLETED, slots_completed(slots, status_get(STATUS_BLOCK_SCSI_SUBMITTED)));
}

static void begin_to_read(u32 index) {
  /* What is left of the last block must not pass for this one. */
  fill_words(data_of(index), 0xdeadbeef, BLOCK_BYTES / 4);
  write_header(index, READ_10, sector_of(slots[index].number));
  doing[index] = READING;
  begin(index);
}

static void compare(u32 index) {
  u8 block[BLOCK_BYTES];
  evidence_block(block, slots[index].number, seed);
  const volatile u8 *data = data_of(index);
  for (u32 at = 0; at < BLOCK_BYTES; at++) {
    if (data[at] == block[at]) continue;
    error(ERROR_SCSI_DATA, slots[index].number);
    break;
  }
}

static void take_capacity(u32 index) {
  u32 sector_bytes = get_big_endian(data_of(index) + 4);
  if (sector_bytes != BLOCK_BYTES) fatal(ERROR_SCSI_CAPACITY, sector_bytes);
  sectors = get_big_endian(data_of(index)) + 1;
  if (sectors == 0) sectors = 0xffffffff;
  status_set(STATUS_BLOCK_SCSI_SECTORS, sectors);
  slots[index].number = 0;
}

static const u16 answer_bytes[] = {
    [WRITING] = RESPONSE_BYTES,
    [READING] = RESPONSE_BYTES + BLOCK_BYTES,
    [ASKING] = RESPONSE_BYTES + CAPACITY_BYTES,
};

static void take(u32 index, u32 length) {
  const volatile u8 *response = response_of(index);
  u8 status = response[RESPONSE_STATUS], code = response[RESPONSE_CODE];
  /* The disk has something to tell of itself, as after power-on, and did nothing else. */
  if (code == 0 && status == CHECK_CONDITION && (response[RESPONSE_SENSE_KEY] & 15) == UNIT_ATTENTION) {
    begin(index);
    return;
  }
  if (status != 0 || code != 0) {
    error(ERROR_SCSI_STATUS, slots[index].number << 16 | (u32)code << 8 | status);
    finish(index);
    return;
  }
  if (length != answer_bytes[doing[index]]) error(ERROR_USED_LENGTH, QUEUE_NAME << 16 | length);
  if (doing[index] == ASKING) {
    take_capacity(index);
  } else if (doing[index] == WRITING) {
    begin_to_read(index);
  } else {
    compare(index);
    finish(index);
  }
}

void scsi_reap(void) {
  u32 id, length;
  while (virtqueue_take(&queue, &id, &length)) {
    u32 index = id / DESCRIPTORS;
    if (id % DESCRIPTORS != 0 || index >= SLOT_COUNT || slots[index].number == 0) {
      error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
      continue;
    }
    take(index, length);
  }
}

void scsi_configuration_changed(void) { virtio_configuration_changed(&device); }

bool scsi_interrupt_lost(void) { return watch_queue(&watch, &queue); }
