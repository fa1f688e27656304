// Descriptions of devices that the present release has no more. Saves with them are about: they are never changed.
import { array, bool, u8, u16, u32, until, vmstate } from "@godwit/core";

/** Releases 1 to 3. Release 4 has `psg` and `mixer`. */
export const sound = vmstate({
  name: "sound",
  version: 1,
  fields: { tone: array(u16, 3), noise: u8, volume: array(u8, 4) },
});

/** Releases 1 to 3. Since release 4 the tape deck is a part of the front end. */
export const tape = vmstate({ name: "tape", version: 1, fields: { position: u32, motor: bool } });

/** Releases 1 to 4, `century` in 1 and 2 only. Release 5 has `rtc`. */
export const clockChip = vmstate({
  name: "clock-chip",
  version: 2,
  minimumVersion: 1,
  fields: { seconds: u32, control: u8, century: until(2, u8, { absent: 0 }) },
});

/** Releases 1 to 4. Release 5 has `input`. */
export const keyboard = vmstate({ name: "keyboard", version: 1, fields: { matrix: array(u8, 8), latch: u8 } });
export const joystick = vmstate({ name: "joystick", version: 1, fields: { port_a: u8, port_b: u8 } });

/** Releases 1 to 4. */
export const lightPen = vmstate({ name: "light-pen", version: 1, fields: { x: u16, y: u16 } });
