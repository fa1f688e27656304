// Which queue pair receives a frame: one flow always the same, so that its frames keep their order.

/** 0 to `pairs` - 1, from both MAC addresses and, where the frame is IP, both IP addresses. */
export function steer(frame: Uint8Array, pairs: number): number {
  if (pairs === 1) return 0;
  let hash = 0x811c9dc5;
  const mix = (from: number, to: number): void => {
    for (let i = from; i < to && i < frame.length; i++) hash = Math.imul(hash ^ (frame[i] as number), 0x01000193) >>> 0;
  };
  mix(0, 12);
  const etherType = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  if (etherType === 0x0800) mix(26, 34);
  else if (etherType === 0x86dd) mix(22, 54);
  return hash % pairs;
}
