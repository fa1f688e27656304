/* What the guest leaves for the host to check. src/evidence.ts makes and checks the same; a test compares the two. */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include "base.h"

#define BLOCK_BYTES 512
#define ETHERNET_HEADER_BYTES 14
#define PACKET_WORDS 36 /* magic, number, seed, 32 of payload, checksum */
#define FRAME_BYTES (ETHERNET_HEADER_BYTES + 4 * PACKET_WORDS)
#define MAC_BYTES 6
#define PIECE_BYTES 16
#define LINE_BYTES 33
#define LINE_OF_GUEST "guest "
#define LINE_OF_HOST "host  "

/* Block `number`, 512 bytes: 'BLK!', number, seed, 124 words of payload, checksum. */
void evidence_block(u8 *block, u32 number, u32 seed);

/* Frame `number`: Ethernet header (broadcast, `mac`, type 0x88b5), 'PKT!', number, seed, 32 words of payload, checksum. */
void evidence_frame(u8 *frame, const u8 *mac, u32 number, u32 seed);

/* Marks a page of the pool: address, pass, number, checksum, and three words further on that depend on them. */
void evidence_page(u32 address, u32 pass, u32 number);

/* The page is marked, whole, and of this pass. */
bool evidence_page_is(u32 address, u32 pass);

/* A piece of entropy, 16 bytes: 'RNG!', number, seed, checksum. Its number, or 0 where it is none or is torn. */
u32 evidence_piece_number(const volatile u8 *piece, u32 seed);

/* Line `number`: who says it (LINE_OF_*), then number, seed and the checksum of all before, eight hexadecimal digits
   each, with a space between them and a newline at the end. */
void evidence_line(u8 *line, const char *who, u32 number, u32 seed);

/* The number of a line, or 0 where it is none of theirs or is torn. */
u32 evidence_line_number(const u8 *line, const char *who, u32 seed);

#endif
