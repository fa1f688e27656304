/* Boot and the work loop: what is due is done, what has arrived is taken, and otherwise the hart sleeps. */
#include "channel.h"
#include "connector.h"
#include "disk.h"
#include "interrupt.h"
#include "network.h"
#include "peripherals.h"
#include "pool.h"
#include "status.h"
#include "timer.h"
#include "virtio_ccw.h"
#include "vtd.h"

/* Sleeping shorter than this costs more than it gives; what falls due meanwhile is done together. */
#define SHORTEST_SLEEP (TIMER_HZ / 1000)
#define HEARTBEAT_TICKS TIMER_HZ
/* Pages marked between two looks at the devices. */
#define VISITS_AT_ONCE 64

static bool use_iommu;
static u32 max_blocks;
static bool paced;
static struct pace block_pace;
static struct pace dirty_pace;
static u64 next_heartbeat;
static bool channel_io;
static u32 next_channel_check;

static u32 boot_field(u32 boot, u32 field) { return read32(boot + field); }

static void print_boot_line(u32 ram_bytes, u32 seed) {
  print("godwit guest: ");
  print_decimal(ram_bytes >> 20);
  print(" MiB, seed 0x");
  print_hex(seed, 8);
  print(use_iommu ? ", IOMMU on, " : ", IOMMU off, ");
  print_decimal(disk_sectors());
  print(" sectors, MAC ");
  for (u32 index = 0; index < 6; index++) {
    if (index) print(":");
    print_hex(network_mac()[index], 2);
  }
  print(", ");
  print_decimal(status_get(STATUS_BLOCK_POOL_PAGES));
  print(" pages to dirty\n");
}

static void open_devices(u32 profile) {
  if (use_iommu) vtd_prepare();
  disk_open(use_iommu);
  network_open(use_iommu);
  peripherals_open(profile, use_iommu);
  status_set(STATUS_BLOCK_STAGE, STAGE_PCI);
  if (use_iommu) {
    vtd_enable();
    status_set(STATUS_BLOCK_IOMMU_ENABLED, 1);
    status_set(STATUS_BLOCK_STAGE, STAGE_IOMMU);
  }
}

static void take_interrupts(u32 arrived) {
  if (arrived & 1u << CHANNEL_IRQ) channel_take();
  if (arrived & 1u << CHANNEL_REPORT_IRQ) channel_take_reports();
  if (arrived & 1u << IRQ_DISK_QUEUE) disk_reap();
  if (arrived & 1u << IRQ_NETWORK_TRANSMIT) network_reap_transmit();
  if (arrived & 1u << IRQ_NETWORK_RECEIVE) network_reap_receive();
  if (arrived & 1u << IRQ_DISK_CONFIG) disk_configuration_changed();
  if (arrived & 1u << IRQ_NETWORK_CONFIG) network_configuration_changed();
  peripherals_take(arrived);
  hotplug_take_interrupts(arrived);
}

static bool blocks_remain(void) {
  return max_blocks == 0 || status_get(STATUS_BLOCK_BLOCKS_SUBMITTED) < max_blocks;
}

static void submit_blocks(u64 now) {
  while (blocks_remain() && disk_ready() && (!paced || pace_due(&block_pace, now))) {
    disk_submit(status_get(STATUS_BLOCK_BLOCKS_SUBMITTED) + 1);
    if (paced) pace_take(&block_pace, now);
  }
}

/* Packet n goes out once block n has. */
static void submit_packets(void) {
  while (network_ready() && status_get(STATUS_BLOCK_PACKETS_SUBMITTED) != status_get(STATUS_BLOCK_BLOCKS_SUBMITTED)) {
    network_submit(status_get(STATUS_BLOCK_PACKETS_SUBMITTED) + 1);
  }
}

static void visit_pages(u64 now) {
  for (u32 left = VISITS_AT_ONCE; left && pace_due(&dirty_pace, now); left--) {
    pool_visit(status_get(STATUS_BLOCK_BLOCKS_SUBMITTED));
    pace_take(&dirty_pace, now);
  }
}

/* Channel programs and a report each 16 blocks, while queues are at work. */
static void check_channels(void) {
  u32 number = status_get(STATUS_BLOCK_BLOCKS_SUBMITTED);
  if (!channel_io || number < next_channel_check) return;
  next_channel_check = number + 16;
  channel_reset_path();
  virtio_ccw_check();
}

static void note_finish(void) {
  if (blocks_remain() || status_get(STATUS_BLOCK_STAGE) == STAGE_FINISHED) return;
  if (status_get(STATUS_BLOCK_BLOCKS_COMPLETED) != max_blocks) return;
  if (status_get(STATUS_BLOCK_PACKETS_COMPLETED) != max_blocks) return;
  if (!peripherals_finished(max_blocks)) return;
  status_set(STATUS_BLOCK_STAGE, STAGE_FINISHED);
  print("godwit guest: finished\n");
}

static void beat(u64 now) {
  if (now < next_heartbeat) return;
  next_heartbeat = now + HEARTBEAT_TICKS;
  status_add(STATUS_BLOCK_HEARTBEAT, 1);
  if (use_iommu) vtd_check();
  hotplug_watch();
  if (disk_interrupt_lost()) {
    error(ERROR_LOST_INTERRUPT, IRQ_DISK_QUEUE);
    disk_reap();
  }
  if (network_transmit_interrupt_lost()) {
    error(ERROR_LOST_INTERRUPT, IRQ_NETWORK_TRANSMIT);
    network_reap_transmit();
  }
  if (network_receive_interrupt_lost()) {
    error(ERROR_LOST_INTERRUPT, IRQ_NETWORK_RECEIVE);
    network_reap_receive();
  }
  peripherals_beat();
}

static u64 earlier(u64 a, u64 b) { return a < b ? a : b; }

/* When there is something to do again that no interrupt will tell of. Blocks that wait for a free slot, and packets,
   are told of by interrupts. */
static u64 next_deadline(u64 now) {
  u64 deadline = next_heartbeat;
  if (dirty_pace.per_second) deadline = earlier(deadline, dirty_pace.next);
  if (paced && blocks_remain() && disk_ready()) deadline = earlier(deadline, block_pace.next);
  deadline = earlier(deadline, hotplug_deadline());
  return deadline < now + SHORTEST_SLEEP ? now + SHORTEST_SLEEP : deadline;
}

static void work(void) {
  for (;;) {
    take_interrupts(interrupt_take());
    u64 now = timer_now();
    beat(now);
    submit_blocks(now);
    submit_packets();
    peripherals_work(status_get(STATUS_BLOCK_BLOCKS_SUBMITTED));
    check_channels();
    visit_pages(now);
    hotplug_work(now);
    note_finish();
    if (!pace_due(&dirty_pace, now)) interrupt_wait(next_deadline(now));
  }
}

void guest_main(u32 hart, u32 boot) {
  if (hart != 0) return;
  fill_words((void *)(RAM_BASE + STATUS_BLOCK_OFFSET), 0, STATUS_BLOCK_BYTES / 4);
  status_set(STATUS_BLOCK_MAGIC, STATUS_MAGIC);
  status_set(STATUS_BLOCK_STAGE, STAGE_STARTED);
  u32 ram_bytes = boot_field(boot, BOOT_BLOCK_RAM_BYTES);
  if (boot_field(boot, BOOT_BLOCK_MAGIC) != BOOT_MAGIC) fatal(ERROR_BOOT_BLOCK, boot_field(boot, BOOT_BLOCK_MAGIC));
  if (ram_bytes < RAM_MIN_BYTES || ram_bytes > RAM_MAX_BYTES || ram_bytes % PAGE_BYTES != 0) {
    fatal(ERROR_BOOT_BLOCK, ram_bytes);
  }
  u32 seed = boot_field(boot, BOOT_BLOCK_SEED);
  status_set(STATUS_BLOCK_SEED, seed);
  use_iommu = boot_field(boot, BOOT_BLOCK_USE_IOMMU) != 0;
  max_blocks = boot_field(boot, BOOT_BLOCK_MAX_BLOCKS);
  paced = boot_field(boot, BOOT_BLOCK_BLOCKS_PER_SECOND) != 0;
  u32 profile = boot_field(boot, BOOT_BLOCK_PROFILE);
  u32 pool_pages = pool_room(ram_bytes);
  u32 balloon_pages = peripherals_balloon_pages(profile, pool_pages);
  u32 balloon_first = pool_start(ram_bytes, pool_pages - balloon_pages);

  channel_io = boot_field(boot, BOOT_BLOCK_PROFILE) == PROFILE_S390_CCW;

  interrupt_start();
  if (channel_io) channel_start();
  open_devices(profile);
  disk_start(seed);
  network_start(seed);
  peripherals_start(seed, balloon_first, balloon_pages);
  if (boot_field(boot, BOOT_BLOCK_PROFILE) == PROFILE_PSERIES) hotplug_start(seed);
  status_set(STATUS_BLOCK_STAGE, STAGE_VIRTIO);
  print_boot_line(ram_bytes, seed);

  u64 now = timer_now();
  pace_start(&block_pace, boot_field(boot, BOOT_BLOCK_BLOCKS_PER_SECOND), now);
  pace_start(&dirty_pace, boot_field(boot, BOOT_BLOCK_DIRTY_PAGES_PER_SECOND), now);
  next_heartbeat = now + HEARTBEAT_TICKS;
  status_set(STATUS_BLOCK_STAGE, STAGE_RUNNING);
  work();
}
