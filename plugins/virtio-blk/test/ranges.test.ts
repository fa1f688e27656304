// Ranges that are discarded or zeroed, and the cache that a driver may switch off.
import { machine, move } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import type { BlockBackend } from "../src/backend.ts";
import { blkFeature } from "../src/constants.ts";
import { type VirtioBlkOptions, virtioBlk } from "../src/index.ts";
import { DiskDriver, image } from "./support/disk.ts";

const [OK, IOERR, UNSUPP] = [0, 1, 2];
const [OUT, DISCARD, WRITE_ZEROES] = [1, 11, 13];

function rig(options: Partial<VirtioBlkOptions> = {}, without = 0n) {
  const backend = image(8192);
  backend.bytes.fill(0xaa);
  const disk = virtioBlk({ backend, ...options });
  const to = machine(disk);
  return { backend, disk, driver: new DiskDriver(to, to.device.hostFeatures & ~without) };
}

function range(sector: number, sectors: number, flags = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, sectors, true);
  view.setUint32(12, flags, true);
  return new Uint8Array(view.buffer);
}

function ask(driver: DiskDriver, type: number, data: Uint8Array): number {
  return driver.status(driver.send(0, type, 0n, data));
}

describe("the offered features and configuration space", () => {
  it("are those of QEMU's disk", () => {
    expect(rig().disk.features).toBe(0x6e54n);
    expect(rig({ queues: 4, discard: false, writeZeroes: false, configWce: false, readOnly: true }).disk.features).toBe(
      0x1674n,
    );
    const config = (options: Partial<VirtioBlkOptions>) =>
      Buffer.from(virtioBlk({ backend: image(32768), ...options }).configBytes()).toString("hex");
    expect(config({ queues: 4 })).toBe(
      "008000000000000000000000fe0000002000103f00020000000000000000000001000400ffff3f000100000001000000ffff3f000100000001",
    );
    expect(config({ queues: 4, queueSize: 128, discard: false, writeZeroes: false })).toBe(
      "0080000000000000000000007e0000002000103f00020000000000000000000001000400",
    );
    expect(config({ writeZeroes: false })).toHaveLength(2 * 48);
    expect(config({ geometry: { cylinders: 7, heads: 5, sectors: 9 } }).slice(32, 40)).toBe("07000509");
  });
});

describe("WRITE_ZEROES", () => {
  it("zeroes what it says and no more, in pieces where the back end only writes", () => {
    const { driver, backend } = rig();
    expect(ask(driver, WRITE_ZEROES, range(3, 4100))).toBe(OK);
    expect(backend.log).toEqual(["write 3", "write 2051", "write 4099"]);
    const at = (sector: number) => backend.bytes[512 * sector];
    expect([at(2), at(3), at(4102), at(4103)]).toEqual([0xaa, 0, 0, 0xaa]);
  });

  it("is left to a back end that knows better, with the driver's leave to give up room", async () => {
    const asked: unknown[] = [];
    const backend: BlockBackend = { ...image(64), writeZeroes: (...of) => void asked.push(of) };
    const { driver } = rig({ backend });
    expect([ask(driver, WRITE_ZEROES, range(1, 2)), ask(driver, WRITE_ZEROES, range(3, 4, 1))]).toEqual([OK, OK]);
    expect(asked).toEqual([
      [1, 2, false],
      [3, 4, true],
    ]);
  });

  it("waits for a back end that is slow, piece by piece", async () => {
    const of = image(8192);
    const { driver } = rig({ backend: { ...of, write: async (sector, bytes) => of.write(sector, bytes) } });
    const request = driver.send(0, WRITE_ZEROES, 0n, range(0, 5000));
    expect(driver.status(request)).toBe(0xee);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    expect([driver.status(request), of.log]).toEqual([OK, ["write 0", "write 2048", "write 4096"]]);
  });
});

describe("DISCARD", () => {
  it("is told to a back end that can, and does nothing elsewhere", () => {
    const asked: unknown[] = [];
    const { driver } = rig({ backend: { ...image(64), discard: (...of) => void asked.push(of) } });
    expect([ask(driver, DISCARD, range(5, 6)), asked]).toEqual([OK, [[5, 6]]]);
    const plain = rig();
    expect([ask(plain.driver, DISCARD, range(5, 6)), plain.backend.log]).toEqual([OK, []]);
    expect(plain.backend.bytes.every((byte) => byte === 0xaa)).toBe(true);
  });
});

describe("a range", () => {
  it("that cannot be is refused", () => {
    const { driver } = rig();
    const answers = (type: number) =>
      [range(8191, 2), range(0, 0x40_0000), range(0, 1, 2), range(0, 1).subarray(1), new Uint8Array(32)].map((data) =>
        ask(driver, type, data),
      );
    expect(answers(WRITE_ZEROES)).toEqual([IOERR, IOERR, UNSUPP, UNSUPP, UNSUPP]);
    expect(answers(DISCARD)).toEqual([IOERR, IOERR, UNSUPP, UNSUPP, UNSUPP]);
    // Longer than configuration space says, on a disk that has room for it.
    const large = rig({ backend: { ...image(1), sizeBytes: 2 ** 33, writeZeroes: () => {} } });
    expect([0x3f_ffff, 0x40_0000].map((sectors) => ask(large.driver, WRITE_ZEROES, range(0, sectors)))).toEqual([
      OK,
      IOERR,
    ]);
    // A discard cannot be asked to unmap.
    expect([ask(driver, DISCARD, range(0, 1, 1)), ask(driver, WRITE_ZEROES, range(0, 1, 1))]).toEqual([UNSUPP, OK]);
    const fixed = rig({ readOnly: true });
    expect([ask(fixed.driver, WRITE_ZEROES, range(0, 1)), ask(fixed.driver, DISCARD, range(0, 1))]).toEqual([
      IOERR,
      IOERR,
    ]);
    const without = rig({ discard: false, writeZeroes: false });
    expect([ask(without.driver, WRITE_ZEROES, range(0, 1)), ask(without.driver, DISCARD, range(0, 1))]).toEqual([
      UNSUPP,
      UNSUPP,
    ]);
  });
});

describe("the cache", () => {
  const write = (driver: DiskDriver) => ask(driver, OUT, new Uint8Array(512));
  it("is flushed with every write where the driver cannot flush, or has switched it off; the choice travels", () => {
    const { driver, backend } = rig();
    write(driver);
    expect(backend.log.splice(0)).toEqual(["write 0"]);
    driver.machine.device.writeConfig(32, Uint8Array.of(0));
    expect(driver.machine.device.readConfig(32, 1)).toEqual(Uint8Array.of(0));
    write(driver);
    expect(backend.log.splice(0)).toEqual(["write 0", "flush"]);
    const there = image(8192);
    move(driver, machine(virtioBlk({ backend: there })));
    expect(driver.machine.device.readConfig(32, 1)).toEqual(Uint8Array.of(0));
    write(driver);
    expect(there.log).toEqual(["write 0", "flush"]);
    const old = rig({}, blkFeature.FLUSH | blkFeature.CONFIG_WCE);
    write(old.driver);
    expect(old.backend.log).toEqual(["write 0", "flush"]);
    // A driver without CONFIG_WCE that can flush keeps its cache, whatever the field says.
    const fixed = rig({ configWce: false });
    fixed.driver.machine.device.writeConfig(32, Uint8Array.of(0));
    write(fixed.driver);
    expect(fixed.backend.log).toEqual(["write 0"]);
  });

  it("is not flushed for a write that was not done", async () => {
    const of = image(64);
    const { driver, disk } = rig({ backend: { ...of, write: async () => "retry" as const } }, blkFeature.FLUSH);
    driver.send(0, OUT, 0n, new Uint8Array(512));
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect([of.log, disk.inFlight]).toEqual([[], 1]);
  });
});
