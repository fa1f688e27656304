// The guests of other architectures, as files that QEMU takes.
import { ppc64Lines, s390xLines } from "./guest-images.ts";

const bytesOf = (lines: readonly string[]): Uint8Array =>
  Uint8Array.from(lines.join("").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** For `-kernel`: prints `COUNT n` on the SCLP console after each answer of the virtio-rng at fe.0.0003. */
export function s390xKernel(): Uint8Array {
  return executable(bytesOf(s390xLines), { machine: 22, address: 0x10000 });
}

/** For `-bios`, which pSeries loads at 0 and enters at 0x100. */
export function ppc64Firmware(): Uint8Array {
  return bytesOf(ppc64Lines);
}

/** A big-endian ELF64 executable of one segment, entered at its first byte. Source: System V ABI, ELF-64. */
function executable(code: Uint8Array, { machine, address }: { machine: number; address: number }): Uint8Array {
  const headerBytes = 64;
  const programHeaderBytes = 56;
  const from = headerBytes + programHeaderBytes;
  const file = new Uint8Array(from + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 2, 1]);
  view.setUint16(16, 2);
  view.setUint16(18, machine);
  view.setUint32(20, 1);
  view.setBigUint64(24, BigInt(address));
  view.setBigUint64(32, BigInt(headerBytes));
  view.setUint16(52, headerBytes);
  view.setUint16(54, programHeaderBytes);
  view.setUint16(56, 1);
  view.setUint32(headerBytes, 1);
  view.setUint32(headerBytes + 4, 7);
  view.setBigUint64(headerBytes + 8, BigInt(from));
  view.setBigUint64(headerBytes + 16, BigInt(address));
  view.setBigUint64(headerBytes + 24, BigInt(address));
  view.setBigUint64(headerBytes + 32, BigInt(code.length));
  view.setBigUint64(headerBytes + 40, BigInt(code.length));
  view.setBigUint64(headerBytes + 48, 8n);
  file.set(code, from);
  return file;
}
