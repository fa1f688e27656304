// What `inspect` prints, to the letter, of one small stream; and how it prints values, folded and not.
import { haveStreams, streamsFolder } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { folded } from "../src/inspect/fold.ts";
import { tableLines, wrapped } from "../src/inspect/table.ts";
import { valueText } from "../src/inspect/value-text.ts";
import { runCli } from "./run-cli.ts";

const bare = `stream        q35-bare-7.2.stream.zst, 323.2 kB
machine       pc-q35-7.2
producer      QEMU 7.2 or later, before 8.2
              the machine type is of 7.2
              the vmdesc does not list the configuration, as it does from 8.2 on
              the vmdesc numbers an array's last element, as it does before 10.0
page          4096 bytes

RAM block                 bytes  pages  zero  page
pc.ram                 16777216   4096  4096     0
/rom@etc/acpi/tables     131072     32    29     3
pc.bios                  262144     64    18    46
pc.rom                   131072     32    32     0
/rom@etc/table-loader      4096      1     0     1
/rom@etc/acpi/rsdp         4096      1     0     1
17.3 MB in all; other records: 3 eos

offset   bytes  section                   version  phase  end told by  described by
     8      15  (configuration)
    23     170  ram/0                           4  start  description  @godwit/ram-dirty-tracker
   193  246981  ram/0                           4  part   description  @godwit/ram-dirty-tracker
247174      18  ram/0                           4  end    description  @godwit/ram-dirty-tracker
247192      48  timer/0                         2  full   vmdesc       vmdesc
247240      37  cpu_common/0                    1  full   vmdesc       vmdesc
247277    1873  cpu/0                          12  full   vmdesc       vmdesc
249150     174  kvm-tpr-opt/0                   1  full   vmdesc       vmdesc
249324     204  apic/0                          3  full   vmdesc       vmdesc
249528      99  fw_cfg/0                        2  full   vmdesc       vmdesc
249627     312  0000:00:00.0/mch/0              1  full   vmdesc       vmdesc
249939      30  PCIHost/0                       1  full   vmdesc       vmdesc
249969      61  PCIBUS/0                        1  full   vmdesc       vmdesc
250030      97  dma/0                           1  full   vmdesc       vmdesc
250127      97  dma/1                           1  full   vmdesc       vmdesc
250224   18917  0000:00:1f.0/ICH9LPC/0          1  full   vmdesc       vmdesc
269141      40  i8259/0                         1  full   vmdesc       vmdesc
269181      40  i8259/1                         1  full   vmdesc       vmdesc
269221     231  ioapic/0                        3  full   vmdesc       vmdesc
269452     174  hpet/0                          2  full   vmdesc       vmdesc
269626     275  mc146818rtc/0                   3  full   vmdesc       vmdesc
269901     132  i8254/0                         3  full   vmdesc       vmdesc
270033      26  pcspk/0                         1  full   vmdesc       vmdesc
270059     309  ps2kbd/0                        3  full   vmdesc       vmdesc
270368     318  ps2mouse/0                      2  full   vmdesc       vmdesc
270686      64  pckbd/0                         3  full   vmdesc       vmdesc
270750    4131  vmmouse/0                       0  full   vmdesc       vmdesc
274881      26  port92/0                        1  full   vmdesc       vmdesc
274907    4209  0000:00:1f.2/ich9_ahci/0        1  full   vmdesc       vmdesc
279116      27  i2c_bus/0                       1  full   vmdesc       vmdesc
279143     365  0000:00:1f.3/ich9_smb/0         1  full   vmdesc       vmdesc
279508      30  acpi_build/0                    1  full   vmdesc       vmdesc
279538     134  globalstate/0                   1  full   vmdesc       vmdesc
279672       1  (end)
279673   43525  (vmdesc)
`;

describe.skipIf(!haveStreams())("inspect in text", () => {
  const folder = haveStreams() ? streamsFolder() : "";

  it("prints the overview", async () => {
    const { code, stdout, stderr } = await runCli(["inspect", "q35-bare-7.2.stream.zst"], { folder });
    expect(stdout).toBe(bare);
    expect(stderr).toBe("note: the file is compressed with zstd; offsets are those of the stream in it\n");
    expect(code).toBe(0);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });

  it("lists each PART with --all, and what was folded adds up to them", async () => {
    const args = ["inspect", "tiny-precopy-7.2.stream.zst"];
    const text = (await runCli(args, { folder })).stdout;
    const all = (await runCli([...args, "--all"], { folder })).stdout;
    const parts = (of: string) => of.split("\n").filter((line) => /ram\/0 +4 {2}part/.test(line));
    expect(parts(text)).toHaveLength(1);
    expect(parts(text)[0]).toContain("part x6");
    expect(parts(all)).toHaveLength(6);
    const bytes = (line: string): number => Number(line.trim().split(/ +/)[1]);
    expect(parts(all).reduce((sum, line) => sum + bytes(line), 0)).toBe(bytes(parts(text)[0] as string));
  });

  it("prints values with their names, alike elements folded", async () => {
    const args = [
      "inspect",
      "pseries-hotplug-net-7.2.stream.zst",
      "--section",
      "*01.0/virtio-net",
      "--path",
      "transport.pci*",
    ];
    const { stdout } = await runCli([...args, "--path", "virtio.virtqueues.vq*", "--path", "device.mac"], { folder });
    expect(stdout).toBe(`stream        pseries-hotplug-net-7.2.stream.zst, 4.0 MB
machine       pseries-7.2
producer      QEMU 7.2 or later, before 8.2
page          4096 bytes

pci@800000020000000:01.0/virtio-net/0  version 11, full, 46.1 kB at 3869962, described by @godwit/virtio-net
  transport.pci_dev.version_id                       2
  transport.pci_dev.config                           256 bytes: f41a0010 00001000 00000002 00000000 01000000...
  transport.pci_dev.config:vendor                    0x1af4   Red Hat, virtio
  transport.pci_dev.config:device                    0x1000   virtio net, transitional or legacy
  transport.pci_dev.config:command                   0x0
  transport.pci_dev.config:status                    0x10     CAPABILITIES
  transport.pci_dev.config:class                     0x20000  network
  transport.pci_dev.config:header                    0x0      layout=device
  transport.pci_dev.config:capability[0x98]          0x11     MSI-X
  transport.pci_dev.config:capability[0x98].control  0x3      vectors=4
  transport.pci_dev.config:capability[0x84]          0x9      virtio PCI configuration access
  transport.pci_dev.config:capability[0x70]          0x9      virtio notifications
  transport.pci_dev.config:capability[0x60]          0x9      virtio device configuration
  transport.pci_dev.config:capability[0x50]          0x9      virtio ISR status
  transport.pci_dev.config:capability[0x40]          0x9      virtio common configuration
  transport.pci_dev.irq_state[0..3]                  0
  device.mac                                         6 bytes: 52540012 3459
  virtio.virtqueues.vq[0..1023].avail                0
  virtio.virtqueues.vq[0..1023].used                 0

`);
  });
});

describe("alike elements", () => {
  const rows = (...of: [path: string, text: string][]) => of.map(([path, text]) => ({ path, text }));

  it("are one row, in runs, inside of each other", () => {
    expect(
      folded(
        rows(
          ["before", "1"],
          ["a[0].x", "0"],
          ["a[0].y[0]", "7"],
          ["a[0].y[1]", "7"],
          ["a[1].x", "0"],
          ["a[1].y[0]", "7"],
          ["a[1].y[1]", "7"],
          ["a[2].x", "1"],
          ["a[2].y[0]", "7"],
          ["a[2].y[1]", "8"],
          ["a[3].x", "0"],
          ["b[0]", "0"],
          ["b[2]", "0"],
          ["b[3]", "0"],
          ["after", "1"],
        ),
      ),
    ).toEqual(
      rows(
        ["before", "1"],
        ["a[0..1].x", "0"],
        ["a[0..1].y[0..1]", "7"],
        ["a[2].x", "1"],
        ["a[2].y[0]", "7"],
        ["a[2].y[1]", "8"],
        ["a[3].x", "0"],
        ["b[0]", "0"],
        ["b[2..3]", "0"],
        ["after", "1"],
      ),
    );
  });

  it("are not folded where they hold different fields", () => {
    const different = rows(["a[0].x", "0"], ["a[1].y", "0"], ["a[2].y", "0"], ["ab[3].y", "0"]);
    expect(folded(different).map(({ path }) => path)).toEqual(["a[0].x", "a[1..2].y", "ab[3].y"]);
  });
});

describe("values in text", () => {
  it.each([
    [null, "none"],
    [true, "true"],
    [9, "9"],
    [255, "255 0xff"],
    [-9, "-9"],
    [-10, "-10 -0xa"],
    [2n ** 64n - 1n, "18446744073709551615 0xffffffffffffffff"],
    ["text", '"text"'],
    [new Uint8Array(0), "0 bytes"],
    [new Uint8Array(1), "1 byte, all zero"],
    [Uint8Array.of(1, 2, 3, 4, 5), "5 bytes: 01020304 05"],
    [new Uint8Array(25).fill(0xab), `25 bytes: ${"abababab ".repeat(5).trim()}...`],
    [new TextEncoder().encode("running\0\0\0"), '"running" in 10 bytes'],
    [new TextEncoder().encode("running\0x"), "9 bytes: 72756e6e 696e6700 78"],
  ])("%s", (value, text) => expect(valueText(value)).toBe(text));

  it("wraps words, and aligns cells but those that run over", () => {
    expect(wrapped(["aa", "bb", "cc", "dddddddd", "e"], 5)).toEqual(["aa bb", "cc", "dddddddd", "e"]);
    const columns = [
      { title: "n", align: "right" },
      { title: "name", align: "left" },
      { title: "", align: "left" },
      { title: "end", align: "left" },
    ] as const;
    expect(
      tableLines(columns, [
        ["10", "x", "", "y"],
        ["1", "a long one"],
      ]),
    ).toEqual([" n  name  end", "10  x     y", " 1  a long one"]);
  });
});
