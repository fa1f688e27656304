/* Source: z/Architecture Principles of Operation, chapters 14 (I/O instructions) to 17 (I/O support functions). The
   machine's registers stand for the instructions; opcodes, operands and condition codes are the architecture's. */
#include "channel.h"
#include "interrupt.h"
#include "status.h"
#include "timer.h"

#define MODIFY_SUBCHANNEL 0xb232
#define START_SUBCHANNEL 0xb233
#define STORE_SUBCHANNEL 0xb234
#define TEST_SUBCHANNEL 0xb235
#define TEST_PENDING_INTERRUPTION 0xb236
#define STORE_CHANNEL_REPORT 0xb239
#define RESET_CHANNEL_PATH 0xb23b

#define SUBSYSTEM_ID 0x00010000u

#define SUBCLASS 3
#define ADAPTER_SUBCLASS 5
#define ADAPTER 0x80000000u

/* Subchannel-information block: its path-management-control word */
#define SCHIB_BYTES 52
#define PMCW_FLAGS 4
#define PMCW_SUBCLASS (SUBCLASS << 11)
#define PMCW_ENABLED 0x0080
#define PMCW_VALID 0x0001

/* Operation-request block */
#define ORB_BYTES 12
#define ORB_FORMAT_1 0x0080
#define ORB_ANY_PATH 0xff00

/* Interruption-response block: its subchannel-status word */
#define IRB_BYTES 96
#define SCSW_CONTROL 2
#define SCSW_DEVICE_STATUS 8
#define SCSW_CHANNEL_STATUS 9
#define SCSW_COUNT 10
#define CONTROL_ENDING 0x0006 /* primary and secondary status */

#define GOOD_ENDING 0x0c /* channel end and device end */

/* Solicited, of a channel path, which is initialised; path 0 */
#define PATH_REPORT 0x44020000u

#define WORDS_MAX 4
#define PATIENCE_TICKS TIMER_HZ

static volatile u8 program[8 * WORDS_MAX] __attribute__((aligned(8)));
static volatile u8 orb[ORB_BYTES] __attribute__((aligned(8)));
static volatile u8 irb[IRB_BYTES] __attribute__((aligned(8)));
static volatile u8 schib[SCHIB_BYTES] __attribute__((aligned(8)));
static volatile u8 interruption[12] __attribute__((aligned(8)));
static volatile u8 report[4] __attribute__((aligned(4)));

static u32 ended; /* bit n: a program of subchannel n has ended, and how stands here: */
static struct channel_ending endings[CHANNEL_COUNT];
static bool report_due;

static void tally(u32 field) {
  u32 at = RAM_BASE + CHANNEL_BLOCK_OFFSET + field;
  write32(at, read32(at) + 1);
}

/* What the guest calls a subchannel, and finds in its interruptions again. */
static u32 parameter_of(u32 subchannel) { return 0x47440000u | subchannel; }

/* Memory that the instruction reads is written before it, and what it writes is read after. */
static u32 instruct(u32 opcode, u32 identification, volatile void *operand) {
  barrier();
  write32(CHANNEL_BASE + CHANNEL_SUBSYSTEM_ID, identification);
  write32(CHANNEL_BASE + CHANNEL_OPERAND, (u32)operand);
  write32(CHANNEL_BASE + CHANNEL_INSTRUCTION, opcode);
  u32 outcome = read32(CHANNEL_BASE + CHANNEL_OUTCOME);
  barrier();
  return outcome;
}

static _Noreturn void failed(u32 opcode, u32 subchannel, u32 outcome) {
  fatal(ERROR_CHANNEL_INSTRUCTION, opcode << 16 | subchannel << 4 | outcome);
}

static void must(u32 opcode, u32 subchannel, volatile void *operand) {
  u32 outcome = instruct(opcode, SUBSYSTEM_ID | subchannel, operand);
  if (outcome != 0) failed(opcode, subchannel, outcome);
}

void channel_start(void) {
  fill_words((void *)(RAM_BASE + CHANNEL_BLOCK_OFFSET), 0, CHANNEL_BLOCK_BYTES / 4);
  write32(CHANNEL_BASE + CHANNEL_SUBCLASSES, 0x80 >> SUBCLASS | 0x80 >> ADAPTER_SUBCLASS);
}

bool channel_enable(u32 subchannel) {
  u32 outcome = instruct(STORE_SUBCHANNEL, SUBSYSTEM_ID | subchannel, schib);
  if (outcome == 3) return false;
  if (outcome != 0) failed(STORE_SUBCHANNEL, subchannel, outcome);
  put_be32(schib, parameter_of(subchannel));
  put_be16(schib + PMCW_FLAGS, (get_be16(schib + PMCW_FLAGS) & PMCW_VALID) | PMCW_ENABLED | PMCW_SUBCLASS);
  must(MODIFY_SUBCHANNEL, subchannel, schib);
  return true;
}

void channel_disable(u32 subchannel) {
  must(STORE_SUBCHANNEL, subchannel, schib);
  put_be16(schib + PMCW_FLAGS, get_be16(schib + PMCW_FLAGS) & PMCW_VALID);
  must(MODIFY_SUBCHANNEL, subchannel, schib);
}

/* A subchannel has at most one interruption, for an ended program and for an alert alike: the driver looks in any case.
   One without status was told twice. */
static void take_status(u32 subchannel) {
  u32 outcome = instruct(TEST_SUBCHANNEL, SUBSYSTEM_ID | subchannel, irb);
  if (outcome > 1) failed(TEST_SUBCHANNEL, subchannel, outcome);
  if (outcome == 0 && get_be16(irb + SCSW_CONTROL) & CONTROL_ENDING) {
    struct channel_ending *ending = &endings[subchannel];
    ending->device_status = irb[SCSW_DEVICE_STATUS];
    ending->channel_status = irb[SCSW_CHANNEL_STATUS];
    ending->residual = (u16)get_be16(irb + SCSW_COUNT);
    ended |= 1u << subchannel;
  }
  if (outcome == 1) tally(CHANNEL_BLOCK_WITHOUT_STATUS);
  channel_alerted(subchannel);
}

void channel_take(void) {
  u32 outcome;
  while ((outcome = instruct(TEST_PENDING_INTERRUPTION, 0, interruption)) == 1) {
    u32 identification = get_be32(interruption);
    u32 word = get_be32(interruption + 8);
    if (word == (ADAPTER | ADAPTER_SUBCLASS << 27)) {
      tally(CHANNEL_BLOCK_ADAPTER_INTERRUPTIONS);
      channel_adapter_alerted();
      continue;
    }
    u32 subchannel = identification & 0xffff;
    bool known = identification >> 16 == SUBSYSTEM_ID >> 16 && subchannel < CHANNEL_COUNT && word == SUBCLASS << 27;
    if (!known || get_be32(interruption + 4) != parameter_of(subchannel))
      fatal(ERROR_CHANNEL_INTERRUPTION, word | subchannel);
    tally(CHANNEL_BLOCK_SUBCHANNEL_INTERRUPTIONS);
    take_status(subchannel);
  }
  if (outcome != 0) failed(TEST_PENDING_INTERRUPTION, 0, outcome);
}

struct channel_ending channel_run(u32 subchannel, const struct channel_word *words, u32 count) {
  for (u32 index = 0; index < count; index++) {
    volatile u8 *at = program + 8 * index;
    at[0] = words[index].command;
    at[1] = words[index].flags;
    put_be16(at + 2, words[index].count);
    put_be32(at + 4, (u32)words[index].data);
  }
  put_be32(orb, parameter_of(subchannel));
  put_be32(orb + 4, ORB_FORMAT_1 << 16 | ORB_ANY_PATH);
  put_be32(orb + 8, (u32)program);
  ended &= ~(1u << subchannel);
  /* An alert of the device's may have come first, and must be taken before the subchannel can start anything. */
  u32 outcome;
  while ((outcome = instruct(START_SUBCHANNEL, SUBSYSTEM_ID | subchannel, orb)) == 1) channel_take();
  if (outcome != 0) failed(START_SUBCHANNEL, subchannel, outcome);
  u64 deadline = timer_now() + PATIENCE_TICKS;
  while (channel_take(), !(ended >> subchannel & 1)) {
    if (timer_now() >= deadline) fatal(ERROR_LOST_INTERRUPT, CHANNEL_IRQ);
    interrupt_wait(deadline);
  }
  tally(CHANNEL_BLOCK_PROGRAMS);
  return endings[subchannel];
}

u32 channel_command(u32 subchannel, u8 command, u8 flags, volatile void *data, u16 count) {
  struct channel_word word = {command, flags, count, data};
  struct channel_ending ending = channel_run(subchannel, &word, 1);
  if (ending.device_status != GOOD_ENDING || ending.channel_status != 0) {
    u32 status = (u32)ending.device_status << 8 | ending.channel_status;
    fatal(ERROR_CHANNEL_PROGRAM, (u32)command << 24 | subchannel << 16 | status);
  }
  return ending.residual;
}

void channel_notify(u32 subchannel, u32 queue) {
  barrier();
  write32(CHANNEL_BASE + CHANNEL_SUBSYSTEM_ID, SUBSYSTEM_ID | subchannel);
  write32(CHANNEL_BASE + CHANNEL_NOTIFY, queue);
  u32 outcome = read32(CHANNEL_BASE + CHANNEL_OUTCOME);
  if (outcome != 0) failed(0, subchannel, outcome);
}

void channel_reset_path(void) {
  if (report_due) fatal(ERROR_CHANNEL_REPORT, 0);
  report_due = true;
  u32 outcome = instruct(RESET_CHANNEL_PATH, 0, 0);
  if (outcome != 0) failed(RESET_CHANNEL_PATH, 0, outcome);
}

void channel_take_reports(void) {
  u32 outcome;
  while ((outcome = instruct(STORE_CHANNEL_REPORT, 0, report)) == 0) {
    u32 word = get_be32(report);
    if (word != PATH_REPORT || !report_due) fatal(ERROR_CHANNEL_REPORT, word);
    report_due = false;
    tally(CHANNEL_BLOCK_REPORTS);
  }
  if (outcome != 1) failed(STORE_CHANNEL_REPORT, 0, outcome);
}
