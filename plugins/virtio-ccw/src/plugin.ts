// virtioCcw(): a device model becomes a channel-attached device of the machine.
import { MigrationError, type Plugin } from "@godwit/core";
import { feature, virtioDevice } from "@godwit/virtio-core";
import { VirtioCcwDevice } from "./transport.ts";
import type { VirtioCcwOffer, VirtioCcwOptions } from "./types.ts";
import { version } from "./version.ts";

const defaultRingFeatures = feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX;

/** Registers the section `/cssid.ssid.devno/model`, such as `/fe.0.0001/virtio-blk`. */
export function virtioCcw<S, L>(options: VirtioCcwOptions<S, L>): Plugin<VirtioCcwOffer> {
  const { busId, schid = 0, model, dma, maxRevision = 2, transitional = false } = options;
  const [, cssid = "", ssid = "", devno = ""] =
    /^([0-9a-f]{1,2})\.([0-3])\.([0-9a-f]{4})$/.exec(busId) ??
    refused("busId", "cssid.ssid.devno, such as fe.0.0001", busId);
  if (!Number.isInteger(schid) || schid < 0 || schid > 0xffff) refused("schid", "0 to 65535", schid);
  if (maxRevision === 0 && !transitional) refused("maxRevision", "1 or 2, or a transitional device", maxRevision);
  const modern = maxRevision === 0 ? 0n : feature.VERSION_1;
  return {
    name: "@godwit/virtio-ccw",
    version,
    contract: 2,
    setup(kernel) {
      const { registration, device, transport } = virtioDevice({
        kernel,
        path: `/${busId}`,
        model,
        dma,
        parameters: {
          hostFeatures: modern | (options.ringFeatures ?? defaultRingFeatures) | model.features,
          dialect: options.dialect ?? "10.0",
          targetEndian: "big",
        },
        requiredFeatures: transitional ? 0n : modern,
        transport: (wired) =>
          new VirtioCcwDevice(
            {
              cssid: Number.parseInt(cssid, 16),
              ssid: Number.parseInt(ssid, 16),
              devno: Number.parseInt(devno, 16),
              schid,
              deviceId: model.deviceId,
              dma,
              maxRevision,
              transitional,
              ioInterrupt: options.ioInterrupt,
              adapterInterrupt: options.adapterInterrupt,
              schidChanged: options.schidChanged ?? (() => {}),
            },
            wired,
          ),
      });
      return { registration, subchannel: transport, device, reset: () => transport.resetSubchannel() };
    },
  };
}

function refused(what: string, expected: string, found: unknown): never {
  throw new MigrationError("DEFINITION_INVALID", `virtio-ccw's ${what} cannot be`, { expected, found: String(found) });
}
