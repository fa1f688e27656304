// Names of bits: tables beside what the specifications say, and registers of guests that really ran.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type NameTable, namesIn } from "../src/names/bits.ts";
import { namesFor } from "../src/names/names.ts";
import { msixTableParts, pciConfigParts } from "../src/names/pci-config.ts";
import { featureTable } from "../src/names/virtio-tables.ts";
import { vtdRegisterParts } from "../src/names/vtd-registers.ts";

const names = (idstr: string, path: string, value: unknown, type?: string) =>
  namesFor(idstr)({ path, value, ...(type !== undefined && { type }) }).map((part) =>
    [part.path, ...part.names].join(" ").trim(),
  );

describe("a table of bits", () => {
  const table: NameTable = {
    bits: { 0: "A", 63: "Z" },
    parts: [
      { name: "size", shift: 4, bits: 3, plus: 1, always: true, values: { 8: "all" } },
      { name: "kind", shift: 8, bits: 2, values: { 1: "one" } },
    ],
  };

  it("tells what is set, lowest first, and what has no name by its number", () => {
    expect(namesIn(table, 0)).toEqual(["size=1"]);
    expect(namesIn(table, 0x8000_0000_0000_0173n)).toEqual(["A", "bit1", "size=all", "kind=one", "Z"]);
    expect(namesIn(table, 0x201)).toEqual(["A", "size=1", "kind=2"]);
    expect(namesIn({ values: { 3: "three" } }, 3)).toEqual(["three"]);
    expect(namesIn({ values: { 3: "three" } }, 4)).toEqual([]);
  });

  it("leaves no bit untold", () => {
    const flags: NameTable = { bits: { 1: "b1", 33: "b33" } };
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const told = namesIn(flags, value).reduce((sum, name) => sum | (1n << BigInt(name.replace(/\D/g, ""))), 0n);
        expect(told).toBe(value);
      }),
      { seed: 7 },
    );
  });
});

describe("virtio", () => {
  it("names the features that a Linux guest takes, by the kind of device", () => {
    // Of q35-vtd-virtio-7.2: guest_features with all 64 bits.
    expect(names("0000:00:01.0/virtio-net", "virtio.features64.guest_features", 0x103_30af_8024n)).toEqual([
      "CTRL_GUEST_OFFLOADS MAC MRG_RXBUF STATUS CTRL_VQ CTRL_RX CTRL_VLAN GUEST_ANNOUNCE CTRL_MAC_ADDR " +
        "INDIRECT_DESC EVENT_IDX VERSION_1 ACCESS_PLATFORM RING_RESET",
    ]);
    expect(names("/fe.0.0002/virtio-blk", "guest_features", 0x3000_6e54)).toEqual([
      "SEG_MAX GEOMETRY BLK_SIZE FLUSH TOPOLOGY CONFIG_WCE DISCARD WRITE_ZEROES INDIRECT_DESC EVENT_IDX",
    ]);
    expect(names("0000:00:04.0/virtio-balloon", "guest_features", 0x2000_0012)).toEqual([
      "STATS_VQ PAGE_POISON EVENT_IDX",
    ]);
    expect(names("x/virtio-scsi", "guest_features", 6)).toEqual(["HOTPLUG CHANGE"]);
    expect(names("x/virtio-console", "guest_features", 7)).toEqual(["SIZE MULTIPORT EMERG_WRITE"]);
    expect(names("x/virtio-rng", "guest_features", 1)).toEqual(["bit0"]);
    expect(names("x/virtio-gpu", "guest_features", 1)).toEqual([]);
  });

  it("knows the halves of the modern registers apart", () => {
    const path = "virtio.extra_state.extra_state.modern_state.guest_features";
    expect(names("x/virtio-net", `${path}[0]`, 0x20)).toEqual(["MAC"]);
    expect(names("x/virtio-net", `${path}[1]`, 0x103)).toEqual(["VERSION_1 ACCESS_PLATFORM RING_RESET"]);
    expect(featureTable("virtio-net", 32)?.bits).not.toHaveProperty("-32");
  });

  it("names status, interrupts, vectors, byte order, and the network's own", () => {
    expect(names("x/virtio-rng", "status", 0xcf)).toEqual([
      "ACKNOWLEDGE DRIVER DRIVER_OK FEATURES_OK DEVICE_NEEDS_RESET FAILED",
    ]);
    expect(names("x/virtio-rng", "isr", 3)).toEqual(["QUEUE CONFIG"]);
    expect(names("x/virtio-rng", "vqs[17].transport.vector", 0xffff)).toEqual(["NO_VECTOR"]);
    expect(names("x/virtio-rng", "vqs[17].transport.vector", 1)).toEqual([]);
    expect(names("x/virtio-rng", "virtio.device_endian.device_endian", 2)).toEqual(["big"]);
    expect(names("x/virtio-net", "device.status", 3)).toEqual(["LINK_UP ANNOUNCE"]);
    expect(names("x/virtio-net", "device.curr_guest_offloads", 0x82n)).toEqual(["GUEST_CSUM GUEST_TSO4"]);
    expect(names("x/virtio-net", "device.rss.hash_types", 0x3)).toEqual(["IPv4 TCPv4"]);
    expect(names("x/virtio-blk", "device.status", 3)).toEqual([]);
    expect(names("serial", "status", 3)).toEqual([]);
  });
});

describe("PCI configuration space", () => {
  /** Little-endian words at their places. */
  function config(bytes: number, words: readonly (readonly [at: number, value: number])[]): Uint8Array {
    const image = new Uint8Array(bytes);
    const view = new DataView(image.buffer);
    for (const [at, value] of words) view.setUint32(at, value, true);
    return image;
  }
  const told = (image: Uint8Array) =>
    pciConfigParts(image).map((part) => [part.path, part.value, part.names.join(" ")]);

  it("tells registers, header, and the list of capabilities in its order", () => {
    const image = config(256, [
      [0x00, 0x1041_1af4],
      [0x04, 0x0010_0507],
      [0x08, 0x0200_0001],
      [0x0c, 0x0080_0000],
      [0x34, 0x98],
      [0x98, 0xc003_8411],
      [0x84, 0x0114_7009],
      [0x70, 0x0000_5001],
      [0x74, 0x0000_0103],
      [0x50, 0x01b5_6005],
      [0x60, 0x0002_0010],
      [0x68, 0x0000_2810],
    ]);
    expect(told(image)).toEqual([
      ["vendor", 0x1af4, "Red Hat, virtio"],
      ["device", 0x1041, "virtio net"],
      ["command", 0x507, "IO_SPACE MEMORY_SPACE BUS_MASTER SERR INTERRUPT_DISABLE"],
      ["status", 0x10, "CAPABILITIES"],
      ["class", 0x020000, "network"],
      ["header", 0x80, "layout=device MULTI_FUNCTION"],
      ["capability[0x98]", 0x11, "MSI-X"],
      ["capability[0x98].control", 0xc003, "vectors=4 FUNCTION_MASK ENABLE"],
      ["capability[0x84]", 0x09, "virtio common configuration"],
      ["capability[0x70]", 0x01, "power management"],
      ["capability[0x70].control", 0x103, "state=D3hot PME_ENABLE"],
      ["capability[0x50]", 0x05, "MSI"],
      ["capability[0x50].control", 0x1b5, "ENABLE capable=4 enabled=8 64BIT PER_VECTOR_MASKING"],
      ["capability[0x60]", 0x10, "PCI Express"],
      ["capability[0x60].capabilities", 2, "version=2 type=endpoint"],
      ["capability[0x60].deviceControl", 0x2810, "RELAXED_ORDERING NO_SNOOP readRequest=512"],
    ]);
  });

  it("tells extended capabilities of an Express device", () => {
    const image = config(4096, [
      [0x00, 0x1234_8086],
      [0x100, 0x1501_0001],
      [0x150, 0x0001_000f],
      [0x154, 0x8003_0000],
    ]);
    expect(told(image).slice(-3)).toEqual([
      ["capability[0x100]", 1, "advanced error reporting"],
      ["capability[0x150]", 0x0f, "address translation services"],
      ["capability[0x150].control", 0x8003, "smallestTranslationUnit=3 ENABLE"],
    ]);
  });

  it("takes any bytes: lists that go round or out of the image end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 300 }), fc.constantFrom(0, 256, 4096), (bytes, length) => {
        const image = new Uint8Array(length === 0 ? bytes.length : length);
        image.set(bytes.subarray(0, image.length));
        if (image.length > 6) image[6] = (image[6] as number) | 0x10;
        const parts = pciConfigParts(image);
        expect(new Set(parts.map(({ path }) => path)).size).toBe(parts.length);
        expect(parts.length === 0).toBe(image.length < 64);
      }),
      { seed: 3 },
    );
  });

  it("ends with the image, wherever a capability in it says to go on", () => {
    for (let length = 64; length <= 80; length++) {
      for (const id of [0x01, 0x05, 0x09, 0x10, 0x11]) {
        const image = new Uint8Array(length);
        image.set([0xf4, 0x1a], 0);
        image[6] = 0x10;
        image[0x34] = 0x40;
        if (length > 64) image[64] = id;
        const parts = pciConfigParts(image);
        expect(parts.length).toBeGreaterThanOrEqual(6);
        for (const { value } of parts) expect(value).toBeTypeOf("number");
      }
    }
  });

  it("is found by the plugin's path, and by the vmdesc's type", () => {
    const image = config(256, [[0, 0x8086]]);
    expect(names("0000:00:1f.0/ICH9LPC", "d.config[0]", image, "pci config")[0]).toBe("vendor Intel");
    expect(names("x/virtio-rng", "transport.pci_dev.config", image)[0]).toBe("vendor Intel");
    expect(names("0000:00:1f.0/ICH9LPC", "d.config[0]", image, "buffer")).toEqual([]);
  });

  it("tells the entries of an MSI-X table that are in use", () => {
    const table = config(48, [
      [0, 0xfee0_1000],
      [8, 0x4021],
      [44, 1],
    ]);
    expect(msixTableParts(table)).toEqual([
      { path: "[0]", value: 0xfee01000n, names: ["data=0x4021"], isPrivate: true },
      { path: "[2]", value: 0n, names: ["data=0x0", "MASKED"], isPrivate: true },
    ]);
  });
});

describe("VT-d and x86", () => {
  it("tells the registers of the unit, and those of addresses only where they are set", () => {
    const image = new Uint8Array(0x230);
    const view = new DataView(image.buffer);
    view.setUint32(0, 0x10, true);
    // As QEMU's unit of q35-vtd-virtio-7.2 has them.
    view.setBigUint64(0x08, 0xd2008c22260286n, true);
    view.setBigUint64(0x10, 0xf00f4en, true);
    view.setUint32(0x18, 0x8600_0000, true);
    view.setUint32(0x1c, 0xc700_0000, true);
    view.setBigUint64(0x20, 0x5579000n, true);
    view.setUint32(0x34, 0x12, true);
    const parts = vtdRegisterParts(image);
    expect(parts.map((part) => [part.path, part.names.join(" ")])).toEqual([
      ["VER", "minor=0 major=1"],
      ["CAP", "ND=6 CM SAGAW=39-bit MGAW=39 FRO=34 SLLPS=2M,1G PSI NFR=1 MAMV=18 DWD DRD"],
      ["ECAP", "QI DT IR PT IRO=15 MHMV=15"],
      ["GCMD", "IRE QIE TE"],
      ["GSTS", "IRTPS IRES QIES RTPS TES"],
      ["RTADDR", ""],
      ["FSTS", "PPF IQE"],
    ]);
    expect(parts.filter(({ isPrivate }) => isPrivate).map(({ path }) => path)).toEqual(["RTADDR"]);
    expect(vtdRegisterParts(image.subarray(0, 0x10)).map(({ path }) => path)).toEqual(["VER", "CAP"]);
    expect(names("iommu-intel", "csr", image)[3]).toBe("GCMD IRE QIE TE");
  });

  it("tells control registers of a Linux guest", () => {
    expect(names("cpu", "env.cr[0]", 0x80050033n)).toEqual(["PE MP ET NE WP AM PG"]);
    expect(names("cpu", "env.cr[4]", 0x6b0n)).toEqual(["PSE PAE PGE OSFXSR OSXMMEXCPT"]);
    expect(names("cpu", "env.efer", 0xd01n)).toEqual(["SCE LME LMA NXE"]);
    expect(names("cpu", "env.eflags", 0x246n)).toEqual(["1 PF ZF IF"]);
    expect(names("cpu", "env.cr[3]", 0x246n)).toEqual([]);
  });
});
