/* The first and only process of the Linux guest: writes numbered, checksummed blocks to /dev/vda, several in flight at a
 * time, reads earlier ones back, and prints "COUNT n" after its nth batch has reached the disk. What is wrong is a line that
 * begins with "BAD". What a block holds, and where, is said in src/disk-evidence.ts, which knows the same rules. */
#include "system.h"

enum { blockBytes = 4096, blockWords = blockBytes / 4, blocks = 4096, stride = 1021 };
enum { headWords = 6, batchWrites = 8, batchReads = 2, batchRequests = batchWrites + batchReads };

/* Each block as it was written last, at the place of the block on the disk: what the disk is compared with. The disk's
 * requests are made from these pages themselves. */
static u32 written[blocks][blockWords] __attribute__((aligned(4096)));
static u32 readBack[batchReads][blockWords] __attribute__((aligned(4096)));

static void print(const char *text) {
  u64 length = 0;
  while (text[length]) length++;
  call(SYS_write, 1, (u64)text, length, 0, 0);
}

/* One call a line, so that nothing comes between its parts. */
static void printNumber(const char *before, u64 number) {
  char line[80], digits[24];
  int length = 0, count = 0;
  while (before[length] && length < 48) line[length] = before[length], length++;
  do digits[count++] = '0' + number % 10;
  while (number /= 10);
  while (count > 0) line[length++] = digits[--count];
  line[length++] = '\n';
  line[length] = 0;
  print(line);
}

/* Says what is wrong, and stands still: the number stops, and whoever waits for it reads why. */
static void bad(const char *what, u64 number) {
  printNumber(what, number);
  for (;;) sleepMs(1000000);
}

static u32 checksum(const u32 *block) {
  u32 sum = 0x811c9dc5;
  for (int i = 0; i < blockWords - 1; i++) sum = (sum ^ block[i]) * 0x01000193;
  return sum;
}

static u32 positionOf(u32 sequence) { return (sequence % blocks) * stride % blocks; }

static void fill(u32 *block, u32 sequence) {
  u32 state = sequence ^ 0x9e3779b9;
  block[0] = 0x57444f47; /* "GODW" */
  block[1] = 0x4b425449; /* "ITBK" */
  block[2] = sequence;
  block[3] = 0;
  block[4] = positionOf(sequence);
  block[5] = sequence / blocks;
  for (int i = headWords; i < blockWords - 1; i++) {
    if (state == 0) state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    block[i] = state;
  }
  block[blockWords - 1] = checksum(block);
}

static void loadModules(void) {
  char path[] = "/modules/00.ko";
  for (int i = 0;; i++) {
    path[9] = '0' + i / 10;
    path[10] = '0' + i % 10;
    long file = call(SYS_open, (u64)path, O_RDONLY, 0, 0, 0);
    if (file < 0) return;
    long result = call(SYS_finit_module, file, (u64) "", 0, 0, 0);
    if (result < 0) bad("BAD kernel module, -errno ", -result);
  }
}

static int openDisk(void) {
  long file = -1;
  for (int tries = 0; file < 0 && tries < 500; tries++) {
    file = call(SYS_open, (u64) "/dev/vda", O_RDWR | O_DIRECT | O_DSYNC, 0, 0, 0);
    if (file < 0) sleepMs(10);
  }
  if (file < 0) bad("BAD no disk, -errno ", -file);
  u64 bytes = 0;
  call(SYS_ioctl, file, BLKGETSIZE64, (u64)&bytes, 0, 0);
  if (bytes != (u64)blocks * blockBytes) bad("BAD disk, bytes ", bytes);
  return file;
}

static struct iocb requestOf(int file, int opcode, u32 position, void *memory) {
  return (struct iocb){.opcode = opcode,
                       .fd = file,
                       .data = position,
                       .buffer = (u64)memory,
                       .bytes = blockBytes,
                       .offset = (long)position * blockBytes};
}

static void run(u64 context, struct iocb *requests, int count) {
  struct iocb *list[batchRequests];
  struct io_event events[batchRequests];
  for (int i = 0; i < count; i++) list[i] = &requests[i];
  for (int sent = 0; sent < count;) {
    long result = call(SYS_io_submit, context, count - sent, (u64)(list + sent), 0, 0);
    if (result <= 0) bad("BAD request not taken, -errno ", -result);
    sent += result;
  }
  for (int done = 0; done < count;) {
    long result = call(SYS_io_getevents, context, 1, count - done, (u64)events, 0);
    if (result == -4) continue; /* EINTR */
    if (result < 0) bad("BAD requests not waited for, -errno ", -result);
    for (int i = 0; i < result; i++)
      if (events[i].result != blockBytes) bad("BAD request at block ", events[i].data);
    done += result;
  }
}

static u32 earlier(u32 *state, u32 last) {
  *state = *state * 1664525 + 1013904223;
  /* Not those that the batch is about to write over. */
  u32 oldest = last + batchWrites > blocks ? last + batchWrites - blocks + 1 : 1;
  return oldest + (*state >> 8) % (last - oldest + 1);
}

static void writeForEver(int file) {
  u64 context = 0;
  long result = call(SYS_io_setup, batchRequests, (u64)&context, 0, 0, 0);
  if (result < 0) bad("BAD no asynchronous requests, -errno ", -result);
  u32 sequence = 0, chance = 1;
  for (u64 batch = 1;; batch++) {
    struct iocb requests[batchRequests];
    int count = 0;
    u32 last = sequence;
    for (int i = 0; i < batchReads && last > 0; i++)
      requests[count++] = requestOf(file, IOCB_CMD_PREAD, positionOf(earlier(&chance, last)), readBack[i]);
    int reads = count;
    for (int i = 0; i < batchWrites; i++) {
      u32 position = positionOf(++sequence);
      fill(written[position], sequence);
      requests[count++] = requestOf(file, IOCB_CMD_PWRITE, position, written[position]);
    }
    run(context, requests, count);
    for (int i = 0; i < reads; i++) {
      u32 position = requests[i].data;
      if (checksum(readBack[i]) != readBack[i][blockWords - 1]) bad("BAD checksum at block ", position);
      for (int word = 0; word < blockWords; word++)
        if (readBack[i][word] != written[position][word]) bad("BAD content at block ", position);
    }
    printNumber("COUNT ", batch);
  }
}

void _start(void) {
  call(SYS_mount, (u64) "dev", (u64) "/dev", (u64) "devtmpfs", 0, 0);
  loadModules();
  writeForEver(openDisk());
}
