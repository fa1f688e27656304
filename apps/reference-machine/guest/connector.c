/* Sources: PAPR 7.3.3 (check-exception), 10.3.2 (event logs), 13.5.3 and 13.7 (connectors of PCI slots). */
#include "connector.h"
#include "card.h"
#include "device_tree.h"
#include "interrupt.h"
#include "rtas.h"
#include "status.h"
#include "timer.h"

/* One packet of each card and one event a step, or a few tokens. */
#define STEP_TICKS (TIMER_HZ / 2000)
#define TOKENS_AT_ONCE 2
#define NEVER 0xffffffffffffffffull
/* A card is given back to firmware after so many packets, and configured again when there is nothing else to do. */
#define PACKETS_IN_A_ROW 64

#define INDICATOR_ISOLATION 9001
#define ISOLATED 0
#define UNISOLATED 1

#define NO_EVENT 1
#define EVENT_VECTOR 0x500
#define EVENT_MASK_EPOW 0x40000000
#define LOG_BYTES 256
#define LOG_TYPE_HOTPLUG 0xe5
/* From the start of the log: its hot-plug section, behind two words, the extended log's head and main parts A and B. */
#define LOG_HOTPLUG (8 + 16 + 48 + 24)
#define HOTPLUG_RESOURCE 8
#define HOTPLUG_ACTION 9
#define HOTPLUG_IDENTIFIER 10
#define HOTPLUG_INDEX 12
#define RESOURCE_PCI 5
#define ACTION_ADD 1
#define IDENTIFIER_INDEX 2

struct connector {
  u32 block; /* address of its card block */
  u32 index; /* 0: free */
  u32 sent_in_a_row;
  struct tree_walk walk;
  struct card card;
};

static struct connector connectors[CARD_COUNT];
static struct connector *walking;
static volatile u8 log[LOG_BYTES] __attribute__((aligned(4)));
static bool started;
static bool events_wait;
static u32 seed;
static u64 next_step;

static void set(const struct connector *connector, u32 field, u32 value) { write32(connector->block + field, value); }
static u32 get(const struct connector *connector, u32 field) { return read32(connector->block + field); }
static void add(const struct connector *connector, u32 field) { set(connector, field, get(connector, field) + 1); }

static u32 first_irq(const struct connector *connector) { return IRQ_CARDS + 2 * (u32)(connector - connectors); }

void hotplug_start(u32 evidence_seed) {
  seed = evidence_seed;
  started = true;
  for (u32 number = 0; number < CARD_COUNT; number++) {
    connectors[number].block = RAM_BASE + CARD_BLOCK_OFFSET + CARD_BLOCK_BYTES * number;
    fill_words((void *)connectors[number].block, 0, CARD_BLOCK_BYTES / 4);
  }
}

void hotplug_take_interrupts(u32 arrived) {
  if (arrived & 1u << IRQ_HOTPLUG) events_wait = true;
  for (struct connector *each = connectors; each < connectors + CARD_COUNT; each++) {
    u32 irq = first_irq(each);
    if (arrived & 1u << irq) virtio_configuration_changed(&each->card.device);
    if (arrived & 1u << (irq + 1)) {
      card_reap(&each->card);
      set(each, CARD_BLOCK_PACKETS_COMPLETED, each->card.completed);
    }
  }
}

static bool set_isolation(const struct connector *connector, u32 state) {
  u32 arguments[3] = {INDICATOR_ISOLATION, connector->index, state};
  int status = rtas_call(RTAS_TOKEN_SET_INDICATOR, arguments, 3);
  if (status != RTAS_SUCCESS) rtas_unexpected(RTAS_TOKEN_SET_INDICATOR, status);
  return status == RTAS_SUCCESS;
}

static void begin_walk(struct connector *connector) {
  if (!set_isolation(connector, UNISOLATED)) {
    set(connector, CARD_BLOCK_STAGE, CARD_STAGE_FAILED);
    return;
  }
  tree_begin(&connector->walk, connector->index);
  set(connector, CARD_BLOCK_TOKENS, 0);
  set(connector, CARD_BLOCK_STAGE, CARD_STAGE_WALKING);
  walking = connector;
}

static struct connector *find(u32 index) {
  for (struct connector *each = connectors; each < connectors + CARD_COUNT; each++) {
    if (each->index == index || each->index == 0) return each;
  }
  return 0;
}

static u32 log_word(u32 at) { return from_big_endian(*(volatile u32 *)(log + at)); }

/* The connector that the log announces a card at, or 0. */
static struct connector *announced(void) {
  const volatile u8 *hotplug = log + LOG_HOTPLUG;
  if ((log_word(0) & 0xff) != LOG_TYPE_HOTPLUG || hotplug[0] != 'H' || hotplug[1] != 'P') return 0;
  if (hotplug[HOTPLUG_RESOURCE] != RESOURCE_PCI || hotplug[HOTPLUG_ACTION] != ACTION_ADD) return 0;
  if (hotplug[HOTPLUG_IDENTIFIER] != IDENTIFIER_INDEX) return 0;
  u32 index = log_word(LOG_HOTPLUG + HOTPLUG_INDEX);
  struct connector *connector = find(index);
  if (connector == 0) return 0;
  connector->index = index;
  set(connector, CARD_BLOCK_CONNECTOR, index);
  return connector;
}

static void fetch_event(void) {
  u32 arguments[6] = {EVENT_VECTOR, 0, EVENT_MASK_EPOW, 0, (u32)log, LOG_BYTES};
  int status = rtas_call(RTAS_TOKEN_CHECK_EXCEPTION, arguments, 6);
  if (status == NO_EVENT) {
    events_wait = false;
    return;
  }
  if (status != RTAS_SUCCESS) {
    rtas_unexpected(RTAS_TOKEN_CHECK_EXCEPTION, status);
    events_wait = false;
    return;
  }
  struct connector *connector = announced();
  if (connector == 0) {
    error(ERROR_HOTPLUG_EVENT, log_word(0));
    return;
  }
  add(connector, CARD_BLOCK_EVENTS);
  /* One event announces one card: a second of the same card is nothing to act on, but is counted. */
  if (get(connector, CARD_BLOCK_STAGE) != 0) return;
  set(connector, CARD_BLOCK_STAGE, CARD_STAGE_ANNOUNCED);
  begin_walk(connector);
}

static void fail(struct connector *connector, u32 code, u32 detail) {
  error(code, detail);
  set(connector, CARD_BLOCK_STAGE, CARD_STAGE_FAILED);
}

static void use(struct connector *connector) {
  const struct tree_walk *walk = &connector->walk;
  set(connector, CARD_BLOCK_NODES, walk->nodes);
  set(connector, CARD_BLOCK_PROPERTIES, walk->properties);
  set(connector, CARD_BLOCK_CHECKSUM, walk->checksum);
  set(connector, CARD_BLOCK_SLOT, walk->slot);
  add(connector, CARD_BLOCK_WALKS);
  if (!card_start(&connector->card, walk->slot, first_irq(connector))) {
    fail(connector, ERROR_CARD_SLOT, walk->slot);
    return;
  }
  connector->sent_in_a_row = 0;
  set(connector, CARD_BLOCK_STAGE, CARD_STAGE_IN_USE);
}

/* False where there is nothing to go on with at once. */
static bool fetch_token(void) {
  struct connector *connector = walking;
  enum tree_step step = tree_step(&connector->walk);
  set(connector, CARD_BLOCK_TOKENS, connector->walk.tokens);
  if (step == TREE_GOES_ON) return true;
  if (step == TREE_LATER) {
    add(connector, CARD_BLOCK_BUSY);
    return false;
  }
  walking = 0;
  if (step == TREE_WHOLE) {
    use(connector);
  } else {
    fail(connector, ERROR_DEVICE_TREE, connector->index);
  }
  return false;
}

static void release(struct connector *connector) {
  card_stop(&connector->card);
  if (!set_isolation(connector, ISOLATED)) {
    set(connector, CARD_BLOCK_STAGE, CARD_STAGE_FAILED);
    return;
  }
  add(connector, CARD_BLOCK_RELEASES);
  set(connector, CARD_BLOCK_STAGE, CARD_STAGE_RELEASED);
}

static void send(struct connector *connector) {
  struct card *card = &connector->card;
  if (connector->sent_in_a_row < PACKETS_IN_A_ROW) {
    if (!card_ready(card)) return;
    set(connector, CARD_BLOCK_PACKETS_SUBMITTED, card_next(card));
    card_send(card, seed);
    connector->sent_in_a_row++;
  } else if (card->completed == card->submitted) {
    release(connector);
  }
}

/* The card that was given back and has had the fewest walks. */
static struct connector *released(void) {
  struct connector *found = 0;
  for (struct connector *each = connectors; each < connectors + CARD_COUNT; each++) {
    if (get(each, CARD_BLOCK_STAGE) != CARD_STAGE_RELEASED) continue;
    if (!found || get(each, CARD_BLOCK_WALKS) < get(found, CARD_BLOCK_WALKS)) found = each;
  }
  return found;
}

void hotplug_work(u64 now) {
  if (!started || now < next_step) return;
  next_step = now + STEP_TICKS;
  for (struct connector *each = connectors; each < connectors + CARD_COUNT; each++) {
    if (get(each, CARD_BLOCK_STAGE) == CARD_STAGE_IN_USE) send(each);
  }
  struct connector *next;
  if (walking) {
    for (u32 left = TOKENS_AT_ONCE; left && fetch_token();) left--;
  } else if (events_wait) {
    fetch_event();
  } else if ((next = released()) != 0) {
    begin_walk(next);
  }
}

u64 hotplug_deadline(void) { return started && (events_wait || connectors[0].index) ? next_step : NEVER; }

void hotplug_watch(void) {
  for (struct connector *each = connectors; each < connectors + CARD_COUNT; each++) {
    if (!started || get(each, CARD_BLOCK_STAGE) != CARD_STAGE_IN_USE) continue;
    if (!watch_queue(&each->card.watch, &each->card.transmit)) continue;
    error(ERROR_LOST_INTERRUPT, first_irq(each) + 1);
    card_reap(&each->card);
  }
}
