// Configuration space for tests: a type 0 header with a BAR, MSI-X where wanted, and a capability of the vendor's.
import type { VendorDriver, VfioPciOptions } from "@godwit/vfio-config-subflag";

type Config = VfioPciOptions<VendorDriver>["config"];

/** Where the capabilities stand. */
export const at = { bar0: 0x10, msix: 0x40, vendor: 0x50, vendorValue: 0x54, msi: 0x60 } as const;

export function testConfig(
  init: { vectors?: number; bytes?: 256 | 4096; bar?: number; deviceId?: number; msiControl?: number } = {},
): Config {
  const { vectors = 4, bytes = 256, bar = 0xfe00_0000, deviceId = 0x0b0d, msiControl } = init;
  const config = new Uint8Array(bytes);
  const view = new DataView(config.buffer);
  view.setUint16(0x00, 0x1b36, true);
  view.setUint16(0x02, deviceId, true);
  view.setUint16(0x04, 0x0006, true);
  view.setUint16(0x06, 0x0010, true);
  view.setUint32(0x08, 0x0880_0001, true);
  view.setUint32(at.bar0, bar, true);
  config[0x34] = vectors > 0 ? at.msix : at.vendor;
  if (vectors > 0) {
    config[at.msix] = 0x11;
    config[at.msix + 1] = at.vendor;
    view.setUint16(at.msix + 2, vectors - 1, true);
  }
  config.set([0x09, 0, 8], at.vendor);
  if (msiControl !== undefined) {
    config[at.vendor + 1] = at.msi;
    config[at.msi] = 0x05;
    view.setUint16(at.msi + 2, msiControl, true);
  }
  return {
    config,
    barBytes: { 0: 1024 * 1024 },
    // What the device itself changes.
    volatile: { [at.vendorValue]: 0xff },
  };
}
