/* Channel I/O (z/Architecture): subchannels, channel programs, interruptions, channel reports. Numbers in memory are
   big-endian. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "base.h"

/* Subchannels that the guest can use are numbered below this. */
#define CHANNEL_COUNT 32

#define CHANNEL_CHAIN 0x40           /* the next word's command follows */
#define CHANNEL_SUPPRESS_LENGTH 0x20 /* less or more data than the count is fine */

/* A channel-command word, as the guest writes it down before it is packed. */
struct channel_word {
  u8 command;
  u8 flags;
  u16 count;
  volatile void *data;
};

/* How a channel program ended. */
struct channel_ending {
  u8 device_status;
  u8 channel_status;
  u16 residual; /* bytes of the last word that were not used */
};

/* Lets the interruptions through that subchannels and adapters raise. */
void channel_start(void);

/* Enables the subchannel. False: there is none of this number. Its interruptions are of a subclass of their own. */
bool channel_enable(u32 subchannel);
void channel_disable(u32 subchannel);

/* Runs a program of at most 4 words and sleeps until its interruption has come. */
struct channel_ending channel_run(u32 subchannel, const struct channel_word *words, u32 count);

/* The same for one command; anything but a good ending is fatal. Answers the residual count. */
u32 channel_command(u32 subchannel, u8 command, u8 flags, volatile void *data, u16 count);

/* Notifies a queue of the virtio device behind the subchannel (DIAGNOSE 0x500). */
void channel_notify(u32 subchannel, u32 queue);

/* Takes all pending interruptions. Call on CHANNEL_IRQ. */
void channel_take(void);

/* Resets the channel path, which the machine answers by a report. Fatal if the one before has not come. */
void channel_reset_path(void);

/* Takes all pending reports. Call on CHANNEL_REPORT_IRQ. */
void channel_take_reports(void);

/* The driver's: the subchannel has interrupted, whatever else its status says; and an adapter has. */
void channel_alerted(u32 subchannel);
void channel_adapter_alerted(void);

static inline void put_be16(volatile void *at, u32 value) {
  volatile u8 *bytes = at;
  bytes[0] = (u8)(value >> 8);
  bytes[1] = (u8)value;
}

static inline void put_be32(volatile void *at, u32 value) {
  put_be16(at, value >> 16);
  put_be16((volatile u8 *)at + 2, value);
}

static inline void put_be64(volatile void *at, u32 low) {
  put_be32(at, 0);
  put_be32((volatile u8 *)at + 4, low);
}

static inline u32 get_be16(const volatile void *at) {
  const volatile u8 *bytes = at;
  return (u32)bytes[0] << 8 | bytes[1];
}

static inline u32 get_be32(const volatile void *at) {
  return get_be16(at) << 16 | get_be16((const volatile u8 *)at + 2);
}

#endif
