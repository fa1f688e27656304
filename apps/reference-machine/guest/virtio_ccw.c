/* virtio over channel I/O (Virtual I/O Device specification 1.2, 4.3), revision 2: rings are little-endian, the structures
   of the commands big-endian. The disk has classic indicators; the others share adapter indicators. */
#include "virtio_ccw.h"
#include "channel.h"
#include "interrupt.h"
#include "status.h"

#define SENSE_ID 0xe4
#define WRITE_FEATURES 0x11
#define READ_FEATURES 0x12
#define SET_QUEUE 0x13
#define WRITE_CONFIG 0x21
#define READ_CONFIG 0x22
#define WRITE_STATUS 0x31
#define READ_QUEUE 0x32
#define RESET 0x33
#define SET_INDICATORS 0x43
#define SET_CONFIG_INDICATORS 0x53
#define READ_STATUS 0x72
#define SET_ADAPTER_INDICATORS 0x73
#define SET_REVISION 0x83

#define REVISION 2
#define CONTROL_UNIT 0x3832
#define SENSE_ID_BYTES 8
#define ADAPTER_SUBCLASS 5

/* Bit n of a doubleword of classic indicators is in this byte, as long as n is below 8. */
#define CLASSIC_BYTES 8
#define CLASSIC_BYTE 7

#define ADAPTER_BYTES 8
/* The first device's queues do not begin at a byte. */
#define FIRST_BIT 5
/* A device has no more than these. */
#define QUEUES 8

#define DATA_BYTES 64

static volatile u8 data[DATA_BYTES] __attribute__((aligned(8)));
static volatile u8 sensed[SENSE_ID_BYTES] __attribute__((aligned(8)));
static volatile u8 again[1];

static volatile u8 classic[CLASSIC_BYTES] __attribute__((aligned(8)));
static volatile u8 config[CHANNEL_COUNT][CLASSIC_BYTES] __attribute__((aligned(8)));
static volatile u8 summary;
static volatile u8 adapter[ADAPTER_BYTES];
static u8 adapter_irqs[8 * ADAPTER_BYTES]; /* of each bit; 0: nobody's */
static u32 next_bit = FIRST_BIT;

static struct virtio_device *devices[CHANNEL_COUNT]; /* by subchannel */
static u8 classic_irqs[QUEUES];
static u32 classic_subchannel = CHANNEL_COUNT;

static u32 command(struct virtio_device *device, u8 code, u8 flags, u32 bytes) {
  return channel_command(device->name, code, flags, data, (u16)bytes);
}

static u8 get_status(struct virtio_device *device) {
  command(device, READ_STATUS, 0, 1);
  return data[0];
}

static void set_status(struct virtio_device *device, u8 status) {
  data[0] = status;
  device->ccw.status = status;
  if (status == 0)
    command(device, RESET, 0, 0);
  else
    command(device, WRITE_STATUS, 0, 1);
}

static u32 offered(struct virtio_device *device, u32 half) {
  data[4] = (u8)half;
  command(device, READ_FEATURES, 0, 5);
  return *(volatile u32 *)data; /* little-endian, unlike all else */
}

static void accept(struct virtio_device *device, u32 half, u32 bits) {
  *(volatile u32 *)data = bits;
  data[4] = (u8)half;
  command(device, WRITE_FEATURES, 0, 5);
}

static void classic_indicators(struct virtio_device *device) {
  if (classic_subchannel != CHANNEL_COUNT) fatal(ERROR_CHANNEL_DEVICE, device->name);
  classic_subchannel = device->name;
  device->ccw.irqs = classic_irqs;
  put_be64(data, (u32)classic);
  command(device, SET_INDICATORS, 0, 8);
}

static void adapter_indicators(struct virtio_device *device) {
  u32 first_bit = next_bit;
  next_bit += QUEUES;
  if (next_bit > sizeof adapter_irqs) fatal(ERROR_CHANNEL_INDICATOR, next_bit);
  device->ccw.irqs = &adapter_irqs[first_bit];
  put_be64(data, (u32)&summary);
  put_be64(data + 8, (u32)adapter);
  put_be64(data + 16, first_bit);
  data[24] = ADAPTER_SUBCLASS;
  command(device, SET_ADAPTER_INDICATORS, 0, 25);
}

static void read_config(struct virtio_device *device, u32 offset, void *to, u32 bytes) {
  if (offset + bytes > DATA_BYTES) fatal(ERROR_CHANNEL_DEVICE, device->name << 16 | (offset + bytes));
  /* There is more than is asked for, and there must not be less. */
  u32 residual = command(device, READ_CONFIG, CHANNEL_SUPPRESS_LENGTH, offset + bytes);
  if (residual != 0) fatal(ERROR_CHANNEL_DEVICE, device->name << 16 | residual);
  for (u32 index = 0; index < bytes; index++) ((u8 *)to)[index] = data[offset + index];
}

/* Not before features are agreed on: until then the device may take the driver for a big-endian one. */
static void check_config(struct virtio_device *device) {
  u8 last;
  if (device->ccw.config_bytes) read_config(device, device->ccw.config_bytes - 1, &last, 1);
}

/* Queue n signals by the n-th of the device's indicators; queue_place says what irq that is. */
static void interrupts(struct virtio_device *device, u32 vectors, u32 first_irq) {
  check_config(device);
  device->ccw.vectors = vectors;
  device->ccw.first_irq = first_irq;
  put_be64(data, (u32)config[device->name]);
  command(device, SET_CONFIG_INDICATORS, 0, 8);
  if (device->ccw.kind == VIRTIO_DISK)
    classic_indicators(device);
  else
    adapter_indicators(device);
}

static u16 queue_size(struct virtio_device *device, u16 number) {
  put_be16(data, number);
  command(device, READ_QUEUE, 0, 4);
  return (u16)get_be16(data + 2);
}

static void queue_place(struct virtio_device *device, struct virtqueue *queue, u16 vector, u32 descriptors,
                        u32 available, u32 used) {
  if (queue->number >= QUEUES || vector >= device->ccw.vectors) fatal(ERROR_VIRTIO_QUEUE, (u32)queue->number << 16);
  device->ccw.irqs[queue->number] = (u8)(device->ccw.first_irq + vector);
  put_be64(data, descriptors);
  put_be32(data + 8, 0);
  put_be16(data + 12, queue->number);
  put_be16(data + 14, queue->size);
  put_be64(data + 16, available);
  put_be64(data + 24, used);
  command(device, SET_QUEUE, 0, 32);
  queue->notify = device->name;
}

static void notify(struct virtqueue *queue) { channel_notify(queue->notify, queue->number); }

/* The device takes all bytes before the field as well: they are written as they are. */
static void write_config_word(struct virtio_device *device, u32 offset, u32 value) {
  u8 before[DATA_BYTES];
  read_config(device, 0, before, offset);
  copy_bytes(data, before, offset);
  for (u32 index = 0; index < 4; index++) data[offset + index] = (u8)(value >> 8 * index);
  command(device, WRITE_CONFIG, 0, offset + 4);
}

static const struct virtio_transport transport = {
    .status = get_status,
    .set_status = set_status,
    .offered = offered,
    .accept = accept,
    .interrupts = interrupts,
    .queue_size = queue_size,
    .queue_place = queue_place,
    .notify = notify,
    .read_config = read_config,
    .write_config_word = write_config_word,
};

static bool is_kind(u32 subchannel, u16 kind) {
  channel_command(subchannel, SENSE_ID, CHANNEL_SUPPRESS_LENGTH, sensed, SENSE_ID_BYTES);
  return get_be16(sensed + 1) == CONTROL_UNIT && sensed[3] == kind;
}

void virtio_ccw_open(struct virtio_device *device, u16 kind, u32 config_bytes) {
  u32 subchannel = 0;
  for (;; subchannel++) {
    if (subchannel == CHANNEL_COUNT) fatal(ERROR_CHANNEL_DEVICE, kind);
    if (devices[subchannel]) continue;
    if (!channel_enable(subchannel)) fatal(ERROR_CHANNEL_DEVICE, kind);
    if (is_kind(subchannel, kind)) break;
    channel_disable(subchannel);
  }
  devices[subchannel] = device;
  device->transport = &transport;
  device->name = subchannel;
  device->ccw.kind = kind;
  put_be16(data, REVISION);
  put_be16(data + 2, 0);
  command(device, SET_REVISION, 0, 4);
  device->ccw.config_bytes = config_bytes;
}

/* The hart cannot take single bits out of a byte before the device puts another one in between. So the whole byte is
   cleared first, and every queue that has a bit in it counts as signalled: looking at one for nothing does no harm. */
static u32 take_byte(volatile u8 *at, u32 offset, const u8 *irqs, bool first_is_high) {
  u8 bits = *at;
  if (!bits) return 0;
  *at = 0;
  u32 signalled = 0;
  for (u32 bit = 0; bit < 8; bit++) {
    u8 irq = irqs[bit];
    if (irq)
      signalled |= 1u << irq;
    else if (bits & (first_is_high ? 0x80u >> bit : 1u << bit))
      fatal(ERROR_CHANNEL_INDICATOR, offset << 8 | bits);
  }
  return signalled;
}

void channel_alerted(u32 subchannel) {
  struct virtio_device *device = devices[subchannel];
  if (!device) return;
  u32 signalled = 0;
  if (config[subchannel][CLASSIC_BYTE]) {
    config[subchannel][CLASSIC_BYTE] = 0;
    signalled = 1u << device->ccw.first_irq;
  }
  if (subchannel == classic_subchannel)
    signalled |= take_byte(&classic[CLASSIC_BYTE], CLASSIC_BYTE, classic_irqs, false);
  barrier();
  if (signalled) interrupt_note(signalled);
}

void channel_adapter_alerted(void) {
  /* Whatever the device adds from here on comes with an interruption of its own. */
  summary = 0;
  barrier();
  u32 signalled = 0;
  for (u32 index = 0; index < ADAPTER_BYTES; index++)
    signalled |= take_byte(&adapter[index], index, &adapter_irqs[8 * index], true);
  barrier();
  if (signalled) interrupt_note(signalled);
}

void virtio_ccw_check(void) {
  struct channel_word words[] = {
      {READ_STATUS, CHANNEL_CHAIN, 1, data},
      {SENSE_ID, CHANNEL_CHAIN | CHANNEL_SUPPRESS_LENGTH, SENSE_ID_BYTES, sensed},
      {READ_STATUS, 0, 1, again},
  };
  for (u32 subchannel = 0; subchannel < CHANNEL_COUNT; subchannel++) {
    struct virtio_device *device = devices[subchannel];
    if (!device) continue;
    channel_run(subchannel, words, 3);
    bool same = data[0] == device->ccw.status && again[0] == data[0];
    if (!same || sensed[3] != device->ccw.kind) fatal(ERROR_CHANNEL_STATUS, subchannel << 8 | data[0]);
    data[0] = again[0] = sensed[3] = 0;
  }
}
