/* What they do is paced by the disk's blocks: a line, a SCSI block and a job each for some of them. Entropy is paced by the
   host, and so is the balloon. */
#include "peripherals.h"
#include "accelerator.h"
#include "balloon.h"
#include "entropy.h"
#include "interrupt.h"
#include "scsi.h"
#include "serial.h"
#include "status.h"

#define BLOCKS_PER_LINE 4
#define BLOCKS_PER_SCSI_BLOCK 4
#define BLOCKS_PER_JOB 4

/* Both profiles have the virtio devices; only the one with PCI has the accelerator. */
static bool has_virtio;
static bool has_accelerator;

static bool has_come(u32 arrived, u32 irq) { return (arrived >> irq & 1) != 0; }

static bool profile_has_virtio(u32 profile) { return profile == PROFILE_Q35 || profile == PROFILE_S390_CCW; }

u32 peripherals_balloon_pages(u32 profile, u32 pool_pages) {
  if (!profile_has_virtio(profile)) return 0;
  u32 pages = pool_pages / 8;
  return pages < BALLOON_MAX_PAGES ? pages : BALLOON_MAX_PAGES;
}

void peripherals_open(u32 profile, bool use_iommu) {
  has_virtio = profile_has_virtio(profile);
  has_accelerator = profile == PROFILE_Q35;
  if (has_virtio) {
    entropy_open(use_iommu);
    balloon_open(use_iommu);
    serial_open(use_iommu);
    scsi_open(use_iommu);
  }
  if (has_accelerator) accelerator_open(use_iommu);
}

void peripherals_start(u32 seed, u32 balloon_first, u32 balloon_pages) {
  if (has_virtio) {
    entropy_start(seed);
    balloon_start(balloon_first, balloon_pages);
    serial_start(seed);
    scsi_start(seed);
  }
  if (has_accelerator) accelerator_start();
}

void peripherals_take(u32 arrived) {
  if (has_come(arrived, IRQ_ENTROPY_QUEUE)) entropy_reap();
  if (has_come(arrived, IRQ_ENTROPY_CONFIG)) entropy_configuration_changed();
  if (has_come(arrived, IRQ_BALLOON_QUEUES)) balloon_reap();
  if (has_come(arrived, IRQ_BALLOON_CONFIG)) balloon_configuration_changed();
  if (has_come(arrived, IRQ_SERIAL_CONTROL)) serial_reap_control();
  if (has_come(arrived, IRQ_SERIAL_RECEIVE)) serial_reap_receive();
  if (has_come(arrived, IRQ_SERIAL_TRANSMIT)) serial_reap_transmit();
  if (has_come(arrived, IRQ_SERIAL_CONFIG)) serial_configuration_changed();
  if (has_come(arrived, IRQ_SCSI_QUEUE)) scsi_reap();
  if (has_come(arrived, IRQ_SCSI_CONFIG)) scsi_configuration_changed();
  if (has_come(arrived, IRQ_ACCELERATOR)) accelerator_reap();
}

void peripherals_work(u32 blocks) {
  if (has_virtio) {
    while (status_get(STATUS_BLOCK_LINES_SUBMITTED) < blocks / BLOCKS_PER_LINE && serial_ready()) {
      serial_submit(status_get(STATUS_BLOCK_LINES_SUBMITTED) + 1);
    }
    while (status_get(STATUS_BLOCK_SCSI_SUBMITTED) < blocks / BLOCKS_PER_SCSI_BLOCK && scsi_ready()) {
      scsi_submit(status_get(STATUS_BLOCK_SCSI_SUBMITTED) + 1);
    }
    balloon_work(blocks);
  }
  if (has_accelerator) {
    while (status_get(STATUS_BLOCK_JOBS_SUBMITTED) < blocks / BLOCKS_PER_JOB && accelerator_ready()) {
      accelerator_submit(status_get(STATUS_BLOCK_JOBS_SUBMITTED) + 1);
    }
  }
}

bool peripherals_finished(u32 blocks) {
  if (has_virtio) {
    if (status_get(STATUS_BLOCK_LINES_COMPLETED) != blocks / BLOCKS_PER_LINE) return false;
    if (status_get(STATUS_BLOCK_SCSI_COMPLETED) != blocks / BLOCKS_PER_SCSI_BLOCK) return false;
  }
  return !has_accelerator || status_get(STATUS_BLOCK_JOBS_COMPLETED) == blocks / BLOCKS_PER_JOB;
}

static void found_lost(u32 irq, void (*reap)(void)) {
  error(ERROR_LOST_INTERRUPT, irq);
  reap();
}

void peripherals_beat(void) {
  if (has_virtio) {
    if (entropy_interrupt_lost()) found_lost(IRQ_ENTROPY_QUEUE, entropy_reap);
    if (balloon_interrupt_lost()) found_lost(IRQ_BALLOON_QUEUES, balloon_reap);
    if (serial_control_interrupt_lost()) found_lost(IRQ_SERIAL_CONTROL, serial_reap_control);
    if (serial_receive_interrupt_lost()) found_lost(IRQ_SERIAL_RECEIVE, serial_reap_receive);
    if (serial_transmit_interrupt_lost()) found_lost(IRQ_SERIAL_TRANSMIT, serial_reap_transmit);
    if (scsi_interrupt_lost()) found_lost(IRQ_SCSI_QUEUE, scsi_reap);
  }
  if (has_accelerator && accelerator_interrupt_lost()) found_lost(IRQ_ACCELERATOR, accelerator_reap);
}
