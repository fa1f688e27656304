/* Source: Virtual I/O Device specification 1.2, 5.5 (traditional memory balloon). Pages are given up in their order and
   come back in the opposite one: the first `actual` of them are the host's. */
#include "balloon.h"
#include "evidence.h"
#include "interrupt.h"
#include "status.h"
#include "virtio.h"
#include "watch.h"

#define DOMAIN 5
#define WINDOW 0x0c050000
#define CONFIG_BYTES 8
#define CONFIG_TARGET 0
#define CONFIG_ACTUAL 4
#define QUEUE_INFLATE 0
#define QUEUE_DEFLATE 1
/* In the numbers of ERROR_USED_ID. */
#define QUEUE_NAME 6
#define PAGES_AT_ONCE 32

static struct virtio_device device;
static struct virtqueue inflate;
static struct virtqueue deflate;
static struct dma_page numbers;
static struct watch inflate_watch;
static struct watch deflate_watch;
static u32 first;
static u32 pages;
/* How often the balloon's page has come back, and with it the pass of its mark. */
static u16 passes[BALLOON_MAX_PAGES];
/* The request under way: pages from `from` to `from + count`; 0: none is. */
static u32 from;
static u32 count;
static bool inflating;
static bool told_too_many;
static u32 last_number;

void balloon_open(bool use_iommu) { virtio_open(&device, VIRTIO_BALLOON, CONFIG_BYTES, use_iommu, DOMAIN, WINDOW); }

static u32 address_of(u32 page) { return first + page * PAGE_BYTES; }

static void mark(u32 page) { evidence_page(address_of(page), ++passes[page], last_number); }

static void read_target(void) {
  u32 target;
  device.transport->read_config(&device, CONFIG_TARGET, &target, sizeof target);
  if (target > pages) {
    if (!told_too_many) error(ERROR_BALLOON_TARGET, target);
    told_too_many = true;
    target = pages;
  }
  status_set(STATUS_BLOCK_BALLOON_TARGET, target);
}

void balloon_start(u32 first_page, u32 page_count) {
  first = first_page;
  pages = page_count;
  for (u32 page = 0; page < pages; page++) mark(page);
  status_set(STATUS_BLOCK_BALLOON_OFFSET, first - RAM_BASE);
  status_set(STATUS_BLOCK_BALLOON_PAGES, pages);
  virtio_negotiate(&device, 0);
  device.transport->interrupts(&device, 2, IRQ_BALLOON_CONFIG);
  virtio_queue_start(&device, &inflate, QUEUE_INFLATE, 1);
  virtio_queue_start(&device, &deflate, QUEUE_DEFLATE, 1);
  numbers = dma_page_new(&device.space, VTD_READ);
  virtio_driver_ok(&device);
  read_target();
}

static void request(struct virtqueue *queue) {
  volatile u32 *list = numbers.memory;
  for (u32 index = 0; index < count; index++) list[index] = address_of(from + index) / PAGE_BYTES;
  virtqueue_describe(queue, 0, numbers.address, 4 * count, 0, 0);
  virtqueue_offer(queue, 0);
  virtqueue_notify(queue);
}

static void give_up(u32 actual, u32 target) {
  inflating = true;
  from = actual;
  count = target - actual;
  if (count > PAGES_AT_ONCE) count = PAGES_AT_ONCE;
  for (u32 page = from; page < from + count; page++) {
    if (!evidence_page_is(address_of(page), passes[page])) error(ERROR_BALLOON_PAGE, page);
  }
  status_set(STATUS_BLOCK_BALLOON_GIVEN, from + count);
  request(&inflate);
}

static void take_back(u32 actual, u32 target) {
  inflating = false;
  count = actual - target;
  if (count > PAGES_AT_ONCE) count = PAGES_AT_ONCE;
  from = actual - count;
  status_set(STATUS_BLOCK_BALLOON_ACTUAL, from);
  request(&deflate);
}

void balloon_work(u32 number) {
  if (count) return;
  last_number = number;
  u32 actual = status_get(STATUS_BLOCK_BALLOON_ACTUAL);
  u32 target = status_get(STATUS_BLOCK_BALLOON_TARGET);
  if (actual < target) give_up(actual, target);
  if (actual > target) take_back(actual, target);
}

static bool is_zero(u32 page) {
  const volatile u32 *words = (const volatile u32 *)address_of(page);
  u32 any = 0;
  for (u32 index = 0; index < PAGE_BYTES / 4; index++) any |= words[index];
  return any == 0;
}

/* The host has discarded the pages: nothing of them is left, and they are the guest's again. */
static void use_again(void) {
  for (u32 page = from; page < from + count; page++) {
    if (!is_zero(page)) error(ERROR_BALLOON_PAGE, page);
    mark(page);
  }
  status_add(STATUS_BLOCK_BALLOON_RETURNS, count);
  status_set(STATUS_BLOCK_BALLOON_GIVEN, from);
}

void balloon_reap(void) {
  u32 id, length;
  while (virtqueue_take(&inflate, &id, &length) || virtqueue_take(&deflate, &id, &length)) {
    if (id != 0 || count == 0) {
      error(ERROR_USED_ID, QUEUE_NAME << 16 | id);
      continue;
    }
    if (inflating) status_set(STATUS_BLOCK_BALLOON_ACTUAL, from + count);
    else use_again();
    count = 0;
    device.transport->write_config_word(&device, CONFIG_ACTUAL, status_get(STATUS_BLOCK_BALLOON_ACTUAL));
  }
}

void balloon_configuration_changed(void) {
  virtio_configuration_changed(&device);
  read_target();
}

bool balloon_interrupt_lost(void) {
  bool lost = watch_queue(&inflate_watch, &inflate);
  return watch_queue(&deflate_watch, &deflate) || lost;
}
