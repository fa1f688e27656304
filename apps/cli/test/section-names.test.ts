// The names by which plugins are known are those of their families.
import { describe, expect, it } from "vitest";
import { catalogueWith, families } from "../src/model/catalogue.ts";
import { lazyCatalogue } from "../src/model/lazy-catalogue.ts";
import { sectionNames } from "../src/model/section-names.ts";

describe("section names", () => {
  it("are those of the catalogue's families, in their order", () => {
    const named = families.map(({ plugin, path, family }) => ({ plugin, path, name: family.name }));
    expect(sectionNames).toEqual(named);
  });

  it("say who describes a section, as the catalogue does", () => {
    const lazy = lazyCatalogue([]);
    const whole = catalogueWith();
    const idstrs = [
      "iommu-intel",
      "0000:00:03.0/virtio-rng",
      "/fe.0.0001/virtio-net",
      "pci@800000020000000:02.0/virtio-blk",
    ];
    idstrs.push(
      "spapr",
      "icp/server",
      "0000:00:06.0/0:0:0/scsi-disk",
      "nvram@71000000/spapr_nvram",
      "virtio-net",
      "xspapr",
    );
    expect(idstrs.map(lazy.knows)).toEqual(idstrs.map(whole.knows));
    expect(idstrs.filter((idstr) => lazy.knows(idstr) === undefined)).toEqual(["virtio-net", "xspapr"]);
  });

  it("do not describe before the plugins are there", async () => {
    const lazy = lazyCatalogue([]);
    const sample = { idstr: "timer", instance: 0, version: 2, bytes: new Uint8Array(0) };
    expect(() => lazy.describe(sample)).toThrow("not loaded");
    await lazy.load?.();
    expect(lazy.describe(sample)).toBeUndefined();
  });
});
