/* Source: Virtual I/O Device specification 1.2, 5.3 (console device), 5.3.6.2 (multiport). */
#include "serial.h"
#include "evidence.h"
#include "interrupt.h"
#include "status.h"
#include "virtio.h"
#include "watch.h"

#define DOMAIN 4
#define WINDOW 0x0c040000
#define CONFIG_BYTES 8
#define FEATURE_MULTIPORT (1u << 1)
/* In the numbers of ERROR_USED_ID and ERROR_USED_LENGTH. */
#define QUEUE_NAME 4

/* Port 0 is a console, and this machine has none; port 1 is the serial port. */
#define PORT 1
#define QUEUE_CONTROL_IN 2
#define QUEUE_CONTROL_OUT 3
#define QUEUE_RECEIVE 4
#define QUEUE_TRANSMIT 5
#define VECTOR_CONTROL 1
#define VECTOR_RECEIVE 2
#define VECTOR_TRANSMIT 3

#define EVENT_DEVICE_READY 0
#define EVENT_PORT_ADD 1
#define EVENT_PORT_READY 3
#define EVENT_CONSOLE_PORT 4
#define EVENT_RESIZE 5
#define EVENT_PORT_OPEN 6
#define EVENT_PORT_NAME 7

/* Device-readable memory: messages out, then lines out. */
#define CONTROL_OUT_SLOTS 4
#define CONTROL_OUT_BYTES 8
#define LINE_SLOTS 4
#define LINE_SLOT_BYTES 64
#define LINES_OFFSET 1024
/* Where a line's two descriptors meet: its end lies in another part of the page. */
#define LINE_HEAD_BYTES 20
#define TAILS_OFFSET 2048
#define LINE_DESCRIPTORS 2

/* Device-writable memory: messages in, then pieces of lines in, of which a line needs several. */
#define CONTROL_IN_SLOTS 4
#define CONTROL_IN_BYTES 64
#define RECEIVE_SLOTS 8
#define RECEIVE_BYTES 16
#define RECEIVE_OFFSET 1024

struct control {
  u32 port;
  u16 event;
  u16 value;
};

static struct virtio_device device;
static struct virtqueue control_in;
static struct virtqueue control_out;
static struct virtqueue receive;
static struct virtqueue transmit;
static struct dma_page readable;
static struct dma_page writable;
static bool control_out_busy[CONTROL_OUT_SLOTS];
static bool control_in_posted[CONTROL_IN_SLOTS];
static bool receive_posted[RECEIVE_SLOTS];
static u32 line_numbers[LINE_SLOTS];
static struct watch control_watch;
static struct watch receive_watch;
static struct watch transmit_watch;
static bool host_open;
static u32 seed;
/* The line that is coming in. */
static u8 incoming[LINE_BYTES];
static u32 incoming_bytes;

void serial_open(bool use_iommu) { virtio_open(&device, VIRTIO_CONSOLE, CONFIG_BYTES, use_iommu, DOMAIN, WINDOW); }

static void take_control_out(void) {
  u32 id, length;
  while (virtqueue_take(&control_out, &id, &length)) {
    if (id >= CONTROL_OUT_SLOTS || !control_out_busy[id]) error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
    else control_out_busy[id] = false;
  }
}

static void say(u32 port, u16 event, u16 value) {
  take_control_out();
  u32 slot = 0;
  while (slot < CONTROL_OUT_SLOTS && control_out_busy[slot]) slot++;
  if (slot == CONTROL_OUT_SLOTS) fatal(ERROR_CONSOLE_CONTROL, port << 16 | event);
  struct control message = {port, event, value};
  copy_bytes((u8 *)readable.memory + CONTROL_OUT_BYTES * slot, &message, CONTROL_OUT_BYTES);
  virtqueue_describe(&control_out, (u16)slot, readable.address + CONTROL_OUT_BYTES * slot, CONTROL_OUT_BYTES, 0, 0);
  control_out_busy[slot] = true;
  virtqueue_offer(&control_out, (u16)slot);
  virtqueue_notify(&control_out);
}

static void post_control(u32 index) {
  virtqueue_describe(&control_in, (u16)index, writable.address + CONTROL_IN_BYTES * index, CONTROL_IN_BYTES,
                     DESCRIPTOR_WRITE, 0);
  control_in_posted[index] = true;
  virtqueue_offer(&control_in, (u16)index);
}

static void post_receive(u32 index) {
  virtqueue_describe(&receive, (u16)index, writable.address + RECEIVE_OFFSET + RECEIVE_BYTES * index, RECEIVE_BYTES,
                     DESCRIPTOR_WRITE, 0);
  receive_posted[index] = true;
  virtqueue_offer(&receive, (u16)index);
}

static void start_queue(struct virtqueue *queue, u16 number, u16 vector, u32 least) {
  virtio_queue_start(&device, queue, number, vector);
  if (queue->size < least) fatal(ERROR_VIRTIO_QUEUE, (u32)number << 16 | queue->size);
}

void serial_start(u32 evidence_seed) {
  seed = evidence_seed;
  u32 features = virtio_negotiate(&device, FEATURE_MULTIPORT);
  if (!(features & FEATURE_MULTIPORT)) fatal(ERROR_VIRTIO_FEATURES, features);
  device.transport->interrupts(&device, 4, IRQ_SERIAL_CONFIG);
  start_queue(&control_in, QUEUE_CONTROL_IN, VECTOR_CONTROL, CONTROL_IN_SLOTS);
  start_queue(&control_out, QUEUE_CONTROL_OUT, VECTOR_CONTROL, CONTROL_OUT_SLOTS);
  start_queue(&receive, QUEUE_RECEIVE, VECTOR_RECEIVE, RECEIVE_SLOTS);
  start_queue(&transmit, QUEUE_TRANSMIT, VECTOR_TRANSMIT, LINE_SLOTS * LINE_DESCRIPTORS);
  readable = dma_page_new(&device.space, VTD_READ);
  writable = dma_page_new(&device.space, VTD_WRITE);
  virtio_driver_ok(&device);
  for (u32 index = 0; index < CONTROL_IN_SLOTS; index++) post_control(index);
  virtqueue_notify(&control_in);
  for (u32 index = 0; index < RECEIVE_SLOTS; index++) post_receive(index);
  virtqueue_notify(&receive);
  say(0xffffffff, EVENT_DEVICE_READY, 1);
}

static void hear(const struct control *message) {
  if (message->port != PORT) fatal(ERROR_CONSOLE_CONTROL, message->port << 16 | message->event);
  switch (message->event) {
    case EVENT_PORT_ADD:
      say(PORT, EVENT_PORT_READY, 1);
      return;
    case EVENT_PORT_OPEN:
      if (message->value && !host_open) say(PORT, EVENT_PORT_OPEN, 1);
      host_open = message->value != 0;
      return;
    case EVENT_PORT_NAME:
    case EVENT_CONSOLE_PORT:
    case EVENT_RESIZE:
      return;
    default:
      fatal(ERROR_CONSOLE_CONTROL, PORT << 16 | message->event);
  }
}

void serial_reap_control(void) {
  u32 id, length;
  bool any = false;
  take_control_out();
  while (virtqueue_take(&control_in, &id, &length)) {
    if (id >= CONTROL_IN_SLOTS || !control_in_posted[id]) {
      error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
      continue;
    }
    control_in_posted[id] = false;
    if (length < sizeof(struct control)) {
      error(ERROR_USED_LENGTH, QUEUE_NAME << 16 | length);
    } else {
      struct control message;
      copy_bytes(&message, (u8 *)writable.memory + CONTROL_IN_BYTES * id, sizeof message);
      hear(&message);
    }
    post_control(id);
    any = true;
  }
  if (any) virtqueue_notify(&control_in);
}

static u32 free_line(void) {
  u32 slot = 0;
  while (slot < LINE_SLOTS && line_numbers[slot]) slot++;
  return slot;
}

bool serial_ready(void) { return host_open && free_line() != LINE_SLOTS; }

void serial_submit(u32 number) {
  u32 slot = free_line();
  u8 line[LINE_BYTES];
  evidence_line(line, LINE_OF_GUEST, number, seed);
  u32 head_at = LINES_OFFSET + LINE_SLOT_BYTES * slot;
  u32 tail_at = TAILS_OFFSET + LINE_SLOT_BYTES * slot;
  copy_bytes((u8 *)readable.memory + head_at, line, LINE_HEAD_BYTES);
  copy_bytes((u8 *)readable.memory + tail_at, line + LINE_HEAD_BYTES, LINE_BYTES - LINE_HEAD_BYTES);
  u16 head = (u16)(LINE_DESCRIPTORS * slot);
  virtqueue_describe(&transmit, head, readable.address + head_at, LINE_HEAD_BYTES, DESCRIPTOR_NEXT, head + 1);
  virtqueue_describe(&transmit, head + 1, readable.address + tail_at, LINE_BYTES - LINE_HEAD_BYTES, 0, 0);
  line_numbers[slot] = number;
  status_set(STATUS_BLOCK_LINES_SUBMITTED, number);
  virtqueue_offer(&transmit, head);
  virtqueue_notify(&transmit);
}

static u32 lines_completed(void) {
  u32 completed = status_get(STATUS_BLOCK_LINES_SUBMITTED);
  for (u32 slot = 0; slot < LINE_SLOTS; slot++) {
    if (line_numbers[slot] && line_numbers[slot] - 1 < completed) completed = line_numbers[slot] - 1;
  }
  return completed;
}

void serial_reap_transmit(void) {
  u32 id, length;
  while (virtqueue_take(&transmit, &id, &length)) {
    u32 slot = id / LINE_DESCRIPTORS;
    if (id % LINE_DESCRIPTORS != 0 || slot >= LINE_SLOTS || line_numbers[slot] == 0) {
      error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
      continue;
    }
    line_numbers[slot] = 0;
    status_set(STATUS_BLOCK_LINES_COMPLETED, lines_completed());
  }
}

static void take_line(void) {
  u32 number = evidence_line_number(incoming, LINE_OF_HOST, seed);
  u32 next = status_get(STATUS_BLOCK_LINES_TAKEN) + status_get(STATUS_BLOCK_LINES_LOST) + 1;
  if (number == 0) {
    status_add(STATUS_BLOCK_LINES_TORN, 1);
  } else if (number < next) {
    status_add(STATUS_BLOCK_LINES_REPEATED, 1);
  } else {
    status_add(STATUS_BLOCK_LINES_LOST, number - next);
    status_add(STATUS_BLOCK_LINES_TAKEN, 1);
  }
}

/* A line ends where it says so, or where it is longer than any. */
static void take_character(u8 character) {
  incoming[incoming_bytes++] = character;
  if (character != '\n' && incoming_bytes < LINE_BYTES) return;
  if (incoming_bytes < LINE_BYTES) status_add(STATUS_BLOCK_LINES_TORN, 1);
  else take_line();
  incoming_bytes = 0;
}

void serial_reap_receive(void) {
  u32 id, length;
  bool any = false;
  while (virtqueue_take(&receive, &id, &length)) {
    if (id >= RECEIVE_SLOTS || !receive_posted[id]) {
      error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
      continue;
    }
    receive_posted[id] = false;
    if (length == 0 || length > RECEIVE_BYTES) error(ERROR_USED_LENGTH, QUEUE_NAME << 16 | length);
    const volatile u8 *bytes = (u8 *)writable.memory + RECEIVE_OFFSET + RECEIVE_BYTES * id;
    for (u32 at = 0; at < length && at < RECEIVE_BYTES; at++) take_character(bytes[at]);
    post_receive(id);
    any = true;
  }
  if (any) virtqueue_notify(&receive);
}

void serial_configuration_changed(void) { virtio_configuration_changed(&device); }

bool serial_control_interrupt_lost(void) { return watch_queue(&control_watch, &control_in); }

bool serial_receive_interrupt_lost(void) { return watch_queue(&receive_watch, &receive); }

bool serial_transmit_interrupt_lost(void) { return watch_queue(&transmit_watch, &transmit); }
