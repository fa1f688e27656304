/* Source: PAPR 13.5.3.5 (ibm,configure-connector). Firmware knows where a walk stands; the guest has what it was told. */
#include "device_tree.h"
#include "rtas.h"

#define WORK_AREA_BYTES 4096
/* Words of the work area. */
#define AREA_CONNECTOR 0
#define AREA_NAME 2
#define AREA_VALUE_BYTES 3
#define AREA_VALUE 4

#define COMPLETE 0
#define NEXT_CHILD 2
#define NEXT_PROPERTY 3
#define PREVIOUS_PARENT 4
/* "Ask again later", for a millisecond up to 100 seconds. */
#define DELAY_FIRST 9900
#define DELAY_LAST 9905

#define FNV_START 0x811c9dc5u
#define FNV_PRIME 0x01000193u

static volatile u32 area[WORK_AREA_BYTES / 4] __attribute__((aligned(WORK_AREA_BYTES)));

void tree_begin(struct tree_walk *walk, u32 connector) {
  *walk = (struct tree_walk){.checksum = FNV_START};
  area[AREA_CONNECTOR] = to_big_endian(connector);
  area[1] = 0;
}

static u8 area_byte(u32 offset) { return ((volatile u8 *)area)[offset]; }

static u32 area_word(u32 offset) {
  u32 word = 0;
  for (u32 index = 0; index < 4; index++) word = word << 8 | area_byte(offset + index);
  return word;
}

static void add(struct tree_walk *walk, u8 byte) { walk->checksum = (walk->checksum ^ byte) * FNV_PRIME; }

/* Takes a string with its NUL; false where it does not end in the work area. */
static bool add_name(struct tree_walk *walk, u32 at) {
  for (; at < WORK_AREA_BYTES; at++) {
    add(walk, area_byte(at));
    if (area_byte(at) == 0) return true;
  }
  return false;
}

static bool is_name(u32 at, const char *name) {
  while (area_byte(at) == (u8)*name) {
    if (*name == 0) return true;
    at++;
    name++;
  }
  return false;
}

static bool take_node(struct tree_walk *walk) {
  walk->nodes++;
  walk->depth++;
  return add_name(walk, from_big_endian(area[AREA_NAME]));
}

static bool take_property(struct tree_walk *walk) {
  u32 name = from_big_endian(area[AREA_NAME]);
  u32 bytes = from_big_endian(area[AREA_VALUE_BYTES]);
  u32 value = from_big_endian(area[AREA_VALUE]);
  walk->properties++;
  if (walk->depth == 0 || !add_name(walk, name)) return false;
  if (value > WORK_AREA_BYTES || bytes > WORK_AREA_BYTES - value) return false;
  for (u32 shift = 32; shift; shift -= 8) add(walk, (u8)(bytes >> (shift - 8)));
  /* What the checksum is stored in cannot be part of it. */
  if (walk->depth == 1 && bytes == 4 && is_name(name, "godwit,checksum")) {
    walk->expected = area_word(value);
    walk->has_expected = true;
    return true;
  }
  for (u32 index = 0; index < bytes; index++) add(walk, area_byte(value + index));
  if (walk->depth == 1 && bytes >= 4 && is_name(name, "reg")) {
    /* phys.hi of a PCI function: bus in bits 23:16, device in 15:11, function in 10:8 */
    walk->slot = area_word(value) >> 8 & 0xff;
    walk->has_slot = true;
  }
  return true;
}

static bool is_whole(const struct tree_walk *walk) {
  return walk->depth == 1 && walk->has_slot && walk->has_expected && walk->checksum == walk->expected;
}

enum tree_step tree_step(struct tree_walk *walk) {
  u32 arguments[2] = {(u32)area, 0};
  int status = rtas_call(RTAS_TOKEN_CONFIGURE_CONNECTOR, arguments, 2);
  if (status >= DELAY_FIRST && status <= DELAY_LAST) return TREE_LATER;
  walk->tokens++;
  add(walk, (u8)status);
  switch (status) {
    case NEXT_CHILD:
      return take_node(walk) ? TREE_GOES_ON : TREE_WRONG;
    case NEXT_PROPERTY:
      return take_property(walk) ? TREE_GOES_ON : TREE_WRONG;
    case PREVIOUS_PARENT:
      /* The outermost node ends with COMPLETE. */
      return walk->depth-- > 1 ? TREE_GOES_ON : TREE_WRONG;
    case COMPLETE:
      return is_whole(walk) ? TREE_WHOLE : TREE_WRONG;
    default:
      rtas_unexpected(RTAS_TOKEN_CONFIGURE_CONNECTOR, status);
      return TREE_WRONG;
  }
}
