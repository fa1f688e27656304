/* Linux's system calls on x86-64, as far as the guest's program needs them, without a C library. Source: the kernel's
 * user-space headers (asm/unistd_64.h, linux/aio_abi.h, linux/fs.h). */
typedef unsigned int u32;
typedef unsigned long u64;

enum {
  SYS_write = 1,
  SYS_open = 2,
  SYS_ioctl = 16,
  SYS_nanosleep = 35,
  SYS_reboot = 169,
  SYS_mount = 165,
  SYS_io_setup = 206,
  SYS_io_getevents = 208,
  SYS_io_submit = 209,
  SYS_finit_module = 313,
};

enum { O_RDONLY = 0, O_RDWR = 2, O_DSYNC = 010000, O_DIRECT = 040000 };
enum { IOCB_CMD_PREAD = 0, IOCB_CMD_PWRITE = 1 };
static const u64 BLKGETSIZE64 = 0x80081272;

struct iocb {
  u64 data;
  u32 key, rw_flags;
  unsigned short opcode;
  short reqprio;
  u32 fd;
  u64 buffer, bytes;
  long offset;
  u64 reserved;
  u32 flags, resfd;
};

struct io_event {
  u64 data, iocb;
  long result, result2;
};

static long call(long number, u64 a, u64 b, u64 c, u64 d, u64 e) {
  long result;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

static void sleepMs(u64 milliseconds) {
  u64 time[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  call(SYS_nanosleep, (u64)time, 0, 0, 0, 0);
}
