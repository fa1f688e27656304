// The plugin's promises, by the conformance suite: ports that are open or not, and output that is half taken.
import { describePlugin } from "@godwit/testkit/vitest";
import { feature, type VirtioState } from "@godwit/virtio-core";
import { type ConformanceGuest, carriedElement, ccwConformance, pciConformance } from "@godwit/virtio-testkit";
import { describe } from "vitest";
import { type VirtioConsoleCcwOffer, virtioConsoleCcw } from "../src/ccw.ts";
import { consoleFeature, receiveQueueOf } from "../src/constants.ts";
import type { VirtioConsoleModel } from "../src/model.ts";
import { type VirtioConsolePciOffer, virtioConsolePci } from "../src/pci.ts";
import { noElement, type SerialPortState, type VirtioSerialState } from "../src/serial-state.ts";
import { bytesOf, terminal } from "./support/serial-driver.ts";

const name = "virtio-console";
const states = 6;
const sources = new URL("../src/", import.meta.url);
const config = ({ serial }: { readonly serial: VirtioConsoleModel }) => serial.configBytes();
const maxPorts = 3;
const ids = [0, 2];
const size = { cols: 80, rows: 25 };
const options = () => ({
  maxPorts,
  ports: [terminal({ id: 0, space: 3, console: true, size }), terminal({ id: 2, space: 9 })],
});

function drive({ ask, random, offer }: ConformanceGuest<{ readonly serial: VirtioConsoleModel }>): void {
  const tell = (port: number, event: number) => ask(3, [Uint8Array.of(port, 0, 0, 0, event, 0, 1, 0)]);
  for (let room = random.int(8); room > 0; room--) ask(2, [], [64]);
  for (const port of ids) {
    if (random.bool()) tell(port, 3);
    if (random.bool()) tell(port, 6);
    ask(receiveQueueOf(port) + 1, [bytesOf("abc"), bytesOf("defghij")], [], random.bool());
    ask(receiveQueueOf(port), [], [16]);
    offer.serial.ports.find(({ id }) => id === port)?.send(bytesOf("in"));
  }
  if (random.bool()) offer.serial.ports[1]?.setOpen(false);
}

type State = VirtioState<unknown, unknown, unknown, unknown, VirtioSerialState>;

/** The ports of this device, each once; what is half taken was taken from a queue that is set up. */
function state(of: State) {
  const features = of.virtio.features64.guest_features;
  const isTurned = (features & feature.VERSION_1) === 0n && of.virtio.device_endian.device_endian === 2;
  const turned = (value: number, bytes: number) =>
    isTurned
      ? Number.parseInt(
          value
            .toString(16)
            .padStart(2 * bytes, "0")
            .match(/../g)
            ?.reverse()
            .join("") ?? "",
          16,
        )
      : value;
  const legacy: VirtioSerialState = {
    cols: turned(size.cols, 2),
    rows: turned(size.rows, 2),
    max_nr_ports: turned(maxPorts, 4),
    ports_map: Uint32Array.of(0b101),
    nr_active_ports: ids.length,
    ports: ids.map((id, i) => portOf(of, id, of.legacy.ports[i])),
  };
  return { ...of, legacy };
}

function portOf(of: State, id: number, port: SerialPortState | undefined): SerialPortState {
  const { guest_connected = 0, host_connected = 0, iov_idx = 0, iov_offset = 0, element = noElement } = port ?? {};
  const queue = receiveQueueOf(id) + 1;
  const hears = (BigInt(of.guest_features) & consoleFeature.MULTIPORT) !== 0n;
  const open = { id, guest_connected: guest_connected & 1, host_connected: hears ? host_connected & 1 : 1 };
  const isTaken = port !== undefined && port.elem_popped % 2 === 1 && of.vqs[queue]?.desc !== 0n;
  if (!isTaken) return { ...open, elem_popped: 0, iov_idx: 0, iov_offset: 0, element: noElement };
  const taken = carriedElement(of, queue, element, 0);
  const segment = iov_idx % taken.out.length;
  const offset = iov_offset % (1 + (taken.out[segment]?.length ?? 0));
  return { ...open, elem_popped: 1, iov_idx: segment, iov_offset: offset, element: taken };
}

describe("over PCI, split rings", () => {
  const plugin = pciConformance<VirtioConsolePciOffer>({
    ...{ name, drive, config, state },
    plugin: (to) => virtioConsolePci({ ...to, ...options() }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/pci/", import.meta.url), sources, states });
});

describe("over channel I/O, packed rings", () => {
  const ringFeatures = feature.RING_PACKED | feature.RING_EVENT_IDX;
  const plugin = ccwConformance<VirtioConsoleCcwOffer>({
    ...{ name, drive, config, state },
    packed: true,
    plugin: (to) => virtioConsoleCcw({ ...to, ...options(), ringFeatures }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/ccw-packed/", import.meta.url), sources, states });
});
