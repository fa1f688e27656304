// The machine-wide section of the channel subsystem: pending channel reports, channel paths (QEMU: vmstate_css).
import {
  array,
  bool,
  type DescriptionFamily,
  family,
  MigrationError,
  pointers,
  type SectionSample,
  type StateOf,
  struct,
  u8,
  u16,
  u64,
  vmstate,
} from "@godwit/core";
import { qtailq } from "@godwit/qtailq-codec";

const crw = vmstate({ name: "s390_crw", version: 1, fields: { flags: u16, rsid: u16 } });
const crwContainer = vmstate({ name: "s390_crw_container", version: 1, fields: { crw: struct(crw) } });
const chpInfo = vmstate({ name: "s390_chp_info", version: 1, fields: { in_use: u8, type: u8, is_virtual: u8 } });

/** Channel-path ids of an image, and images of a channel subsystem. */
const ids = 256;
const cssImage = vmstate({ name: "s390_css_img", version: 1, fields: { chpids: array(struct(chpInfo), ids) } });

/** What decides about the bytes of "s390_css", and is not on the wire. Plain data. */
export interface CssParameters {
  /** Ids of the channel-subsystem images that exist, such as 0xfe for virtio's; the others are null pointers. */
  readonly images: readonly number[];
}

/** "s390_css" v1. */
export function cssSection({ images }: CssParameters) {
  const present = new Set(images);
  return vmstate({
    name: "s390_css",
    version: 1,
    fields: {
      pending_crws: qtailq(crwContainer),
      sei_pending: bool,
      do_crw_mchk: bool,
      crws_lost: bool,
      max_cssid: u8,
      max_ssid: u8,
      chnmon_active: bool,
      chnmon_area: u64,
      css: pointers(struct(cssImage), ids, (id) => !present.has(id)),
      default_cssid: u8,
    },
  });
}
export type CssState = StateOf<ReturnType<typeof cssSection>>;

/** The section "s390_css", for tools. Errors of `infer`: `PARAMETER_WRONG`, `STREAM_TRUNCATED`. */
export const cssFamily: DescriptionFamily<CssParameters, ReturnType<typeof cssSection>> = family({
  name: "s390_css",
  build: (parameters: CssParameters) => cssSection(parameters),
  infer: (sample): CssParameters => ({ images: imagesIn(sample) }),
});

const nullPointer = 0x30;
const listEnd = 0;
const listElement = 1;
const crwBytes = 4;
/** Between the list of reports and the first pointer. */
const scalarBytes = 14;
const imageBytes = 3 * ids;

/** An image begins with a byte that is 0 or 1, a null pointer is 0x30: which exist can be read off. */
function imagesIn({ bytes }: SectionSample): number[] {
  const at = (offset: number): number => {
    const byte = bytes[offset];
    if (byte !== undefined) return byte;
    throw new MigrationError("STREAM_TRUNCATED", "the section ends before its parameters can be told", {
      path: "css",
      offset: bytes.length,
    });
  };
  let offset = 0;
  while (at(offset) === listElement) offset += 1 + crwBytes;
  if (at(offset) !== listEnd) throw wrong("pending_crws", "0 or 1", at(offset));
  offset += 1 + scalarBytes;
  const images: number[] = [];
  for (let id = 0; id < ids; id++) {
    const first = at(offset);
    if (first !== nullPointer && first > 1) throw wrong(`css[${id}]`, "0x30, or an image", first);
    if (first !== nullPointer) images.push(id);
    offset += first === nullPointer ? 1 : imageBytes;
  }
  at(offset);
  return images;
}

function wrong(path: string, expected: string, found: number): MigrationError {
  return new MigrationError("PARAMETER_WRONG", "the section is no channel subsystem", {
    path,
    expected,
    found: `0x${found.toString(16)}`,
  });
}
