// Device classes that these tests need and that no plugin below this one has, as the wire reference gives them (13.8).
import { type Description, subsection, u32, vmstate } from "@godwit/core";
import { type NoData, noData, type VirtioClass } from "@godwit/virtio-core";

type NoParameters = Record<never, never>;

/** An empty class: its section is what the virtio core and the transport write. */
const empty = (name: string, version: number, deviceId: number): VirtioClass<NoParameters, NoData> => ({
  name,
  version,
  minimumVersion: version,
  deviceId,
  description: () => noData,
  infer: () => ({}),
});

export const rng = empty("virtio-rng", 1, 4);
export const scsi = empty("virtio-scsi", 1, 8);

const balloonDevice = vmstate({
  name: "virtio-balloon-device",
  version: 1,
  fields: { num_pages: u32, actual: u32 },
  subsections: {
    pagePoison: subsection({
      name: "virtio-balloon-device/page-poison",
      version: 1,
      fields: { poison_val: u32 },
      needed: () => true,
      absent: { poison_val: 0 },
    }),
  },
});
type BalloonState = typeof balloonDevice extends Description<infer S> ? S : never;

export const balloon: VirtioClass<NoParameters, BalloonState> = {
  name: "virtio-balloon",
  version: 1,
  minimumVersion: 1,
  deviceId: 5,
  description: () => balloonDevice,
  infer: () => ({}),
};
