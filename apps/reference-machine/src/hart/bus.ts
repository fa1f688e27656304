/** What a hart sees beyond its RAM: the device side of the physical address space. */
export interface Bus {
  /**
   * Reads `size` bytes at a naturally aligned physical address outside RAM.
   * Answers the little-endian value, or `undefined` where nothing answers: a load access fault.
   */
  mmioRead(address: number, size: 1 | 2 | 4): number | undefined;

  /**
   * Writes the low `size` bytes of `value` (unsigned) at a naturally aligned physical address outside RAM.
   * Answers `false` where nothing answers: a store access fault.
   */
  mmioWrite(address: number, size: 1 | 2 | 4, value: number): boolean;
}
