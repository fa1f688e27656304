/* Payload: xorshift32 (shifts 13, 17, 5). Checksum: FNV-1a, 32 bits, byte by byte over all that comes before it. */
#include "evidence.h"

#define BLOCK_MAGIC 0x214b4c42u
#define PACKET_MAGIC 0x21544b50u
#define PIECE_MAGIC 0x21474e52u
#define BLOCK_SPREAD 0x9e3779b9u
#define PACKET_SPREAD 0x85ebca6bu
#define ETHERTYPE 0x88b5

static u32 checksum(const volatile u8 *bytes, u32 count) {
  u32 hash = 0x811c9dc5u;
  while (count--) hash = (hash ^ *bytes++) * 0x01000193u;
  return hash;
}

static u8 *put(u8 *at, u32 value) {
  copy_bytes(at, &value, 4);
  return at + 4;
}

static u8 *put_payload(u8 *at, u32 words, u32 state) {
  if (state == 0) state = BLOCK_SPREAD; /* zero would stay zero */
  while (words--) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    at = put(at, state);
  }
  return at;
}

void evidence_block(u8 *block, u32 number, u32 seed) {
  u8 *at = put(put(put(block, BLOCK_MAGIC), number), seed);
  at = put_payload(at, BLOCK_BYTES / 4 - 4, seed ^ number * BLOCK_SPREAD);
  put(at, checksum(block, BLOCK_BYTES - 4));
}

void evidence_frame(u8 *frame, const u8 *mac, u32 number, u32 seed) {
  u8 *at = frame;
  for (u32 left = MAC_BYTES; left; left--) *at++ = 0xff;
  for (u32 index = 0; index < MAC_BYTES; index++) *at++ = mac[index];
  *at++ = ETHERTYPE >> 8;
  *at++ = ETHERTYPE & 0xff;
  at = put(put(put(at, PACKET_MAGIC), number), seed);
  at = put_payload(at, PACKET_WORDS - 4, seed ^ number * PACKET_SPREAD);
  put(at, checksum(frame, FRAME_BYTES - 4));
}

void evidence_page(u32 address, u32 pass, u32 number) {
  volatile u32 *page = (volatile u32 *)address;
  page[0] = address;
  page[1] = pass;
  page[2] = number;
  u32 hash = checksum((const volatile u8 *)page, 12);
  page[3] = hash;
  page[0x400 / 4] = hash ^ 0x400 * BLOCK_SPREAD;
  page[0x800 / 4] = hash ^ 0x800 * BLOCK_SPREAD;
  page[0xffc / 4] = hash ^ 0xffc * BLOCK_SPREAD;
}

bool evidence_page_is(u32 address, u32 pass) {
  const volatile u32 *page = (const volatile u32 *)address;
  u32 hash = page[3];
  return page[0] == address && page[1] == pass && hash == checksum((const volatile u8 *)page, 12) &&
         page[0x400 / 4] == (hash ^ 0x400 * BLOCK_SPREAD) && page[0x800 / 4] == (hash ^ 0x800 * BLOCK_SPREAD) &&
         page[0xffc / 4] == (hash ^ 0xffc * BLOCK_SPREAD);
}

u32 evidence_piece_number(const volatile u8 *piece, u32 seed) {
  const volatile u32 *words = (const volatile u32 *)piece;
  bool whole = words[0] == PIECE_MAGIC && words[2] == seed && words[3] == checksum(piece, PIECE_BYTES - 4);
  return whole ? words[1] : 0;
}

#define LINE_NUMBER 6
#define LINE_SEED 15
#define LINE_CHECKSUM 24
#define DIGITS 8

static void put_digits(u8 *at, u32 value) {
  for (u32 digit = DIGITS; digit--; value >>= 4) {
    u32 nibble = value & 15;
    at[digit] = (u8)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
  }
}

static u32 get_digits(const u8 *at) {
  u32 value = 0;
  for (u32 digit = 0; digit < DIGITS; digit++) {
    u32 character = at[digit];
    value = value << 4 | ((character > '9' ? character - 'a' + 10 : character - '0') & 15);
  }
  return value;
}

void evidence_line(u8 *line, const char *who, u32 number, u32 seed) {
  copy_bytes(line, who, LINE_NUMBER);
  put_digits(line + LINE_NUMBER, number);
  line[LINE_SEED - 1] = ' ';
  put_digits(line + LINE_SEED, seed);
  line[LINE_CHECKSUM - 1] = ' ';
  put_digits(line + LINE_CHECKSUM, checksum(line, LINE_CHECKSUM));
  line[LINE_BYTES - 1] = '\n';
}

/* The one line that has this number is made again, and compared: a digit that is none leads to another line. */
u32 evidence_line_number(const u8 *line, const char *who, u32 seed) {
  u32 number = get_digits(line + LINE_NUMBER);
  u8 expected[LINE_BYTES];
  evidence_line(expected, who, number, seed);
  for (u32 at = 0; at < LINE_BYTES; at++) {
    if (line[at] != expected[at]) return 0;
  }
  return number;
}
