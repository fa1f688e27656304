/* Writes what the guest's evidence code makes to a port, word by word. a0: number, a1: seed. */
#include "evidence.h"

#define PORT 0x10000000
#define PAGE 0x4001e000

static u32 words[128];
static const u8 mac[MAC_BYTES] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

void trap(u32 cause, u32 pc, u32 value) { write32(PORT + 4, cause ^ pc ^ value); }

static void say(u32 count) {
  for (u32 index = 0; index < count; index++) write32(PORT, words[index]);
}

void guest_main(u32 number, u32 seed) {
  evidence_block((u8 *)words, number, seed);
  say(BLOCK_BYTES / 4);
  evidence_frame((u8 *)words, mac, number, seed);
  say((FRAME_BYTES + 3) / 4);
  evidence_page(PAGE, seed, number);
  write32(PORT + 4, 0);
}
