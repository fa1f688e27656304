// A section "virtio-blk" that QEMU 7.2 wrote with two requests in flight in packed rings, and the memory that goes with it.
// Made by: qemu-system-x86_64 -M pc,accel=tcg -S -device virtio-blk-pci,packed=on,num-queues=2,queue-size=8,
// rerror=stop,disable-legacy=on,addr=3 over a blkdebug node whose reads fail; driven through -qtest: a write that is
// answered, then a read of sector 5 with buffer id 0xfff0 in queue 0, and one of sector 6 with id 9 in queue 1.
import { gunzipSync } from "node:zlib";

const section = [
  "H4sIAAAAAAACA+3dsU8TURzA8feuPQKJ0SvBaJga446DMXEz/gUO7LXSM2mMUsrVOBEG/wBHR/80/wQH9vPu+goJMpAYQPDzCeW+v3v0aG5t8i",
  "6EkJ1svy7WQhFiaH/+dC+En6s+2Q6D9vh9daJ5x0YoYn81F838quj1U3fzm6LfzcM0v93KuvnZcm57Y7aVn/+/g69Z94Hierhq8bILF851/SCG",
  "WISj3WZ4+TefI2te66cXXqvrs/k4hF5dx7TU20iRrd76JNXTLAAAAAAAAAAAt9TQ9/4AAAAAAAAAcGdkl9zZAAAAAAAAAAAAAAAAAAAAALgyhV",
  "sAAAAAAAAAAAAAAAAAAAAANyamY+9XvRyy1cpmqq3MXQIAAAAAAACA26rwvT8AAAAAAAAA3BnZxRsGAAAAAAAAAAAAAAAAAAAAANencAsAAAAA",
  "AAAAAAAAAAAAAADg5uQPP0/n1XR/58Xzd9Nq9L4cV4t5edisxHa1CEe7+SD9SXs4WJSL0+Xmd9o4IA7T8Vs6/nBrAQAAAAAAAAAAAAAAAAAA4B",
  "rkm2lbgPJLNR+PDqtxVTanY/5oeX4025vufNyflPNPZ4urV7uvQHuNbo7piuc3E+jWjm0sAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwH8v",
  "v58eItg8IXBelZPmVIz543RyNt77UE5G7XSwKBflYfdIwLUYeu0jA3vdYVkhVVBKKaWUUkoppZRSSimllFJKKaWUUkoppdS/WL8BCsX3EJVaAg",
  "A=",
].join("");

export function qemuPackedSection(): Uint8Array {
  return new Uint8Array(gunzipSync(Buffer.from(section, "base64")));
}

/** Guest-physical address, and bytes: both descriptor rings, the requests' headers, and their status bytes. */
export const qemuPackedMemory: readonly (readonly [address: number, hex: string])[] = [
  [
    0x10000,
    "00000200000000000100000001708080" + "00020200000000000002000001708100" + "00040200000000000100000001708200",
  ],
  [
    0x10030,
    "001002000000000010000000f0ff8100" + "001202000000000000020000f0ff8300" + "001402000000000001000000f0ff8200",
  ],
  [
    0x18000,
    "00200200000000001000000009008100" + "00220200000000000002000009008300" + "00240200000000000100000009008200",
  ],
  [0x21000, "00000000000000000500000000000000"],
  [0x21400, "ee"],
  [0x22000, "00000000000000000600000000000000"],
  [0x22400, "ee"],
];
