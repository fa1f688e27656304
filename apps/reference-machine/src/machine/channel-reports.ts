// Channel reports: what the channel subsystem tells of itself, a word at a time, behind one machine check (z/Architecture
// Principles of Operation, chapter 17). They travel in the section "s390_css".
import { encodeState, MigrationError } from "@godwit/core";
import { type CssState, cssSection, type Outcome } from "@godwit/virtio-ccw";

/** Virtio's image, with the one channel path that all its devices share. */
const image = 0xfe;
const pathId = 0;
const virtioPathType = 0x32;
const images = 256;

export const cssDescription: ReturnType<typeof cssSection> = cssSection({ images: [image] });

/** Solicited, of a channel path, which is initialised. */
const pathReset = 0x4402;
/** Of a report: others before it were lost. */
const overflow = 0x2000;
/** More are not kept for a guest that does not take them. */
const mostWords = 64;

export class ChannelReports {
  #words: { flags: number; rsid: number }[] = [];
  /** Nobody has been told of the words that come next. */
  #armed = true;
  #lost = false;
  readonly #machineCheck: () => void;

  constructor(machineCheck: () => void) {
    this.#machineCheck = machineCheck;
  }

  /** RCHP. The reset is done at once, and its report is pending. */
  resetPath(designation: number): Outcome {
    // The image may be the default one, or be named.
    const cssid = (designation >>> 16) & 0xff;
    if ((designation & 0xff00_ff00) !== 0) return "operand";
    if ((cssid !== 0 && cssid !== image) || (designation & 0xff) !== pathId) return 3;
    if (this.#words.length === mostWords) {
      this.#lost = true;
      return 0;
    }
    this.#words.push({ flags: this.#lost ? pathReset | overflow : pathReset, rsid: pathId });
    this.#lost = false;
    if (this.#armed) {
      this.#armed = false;
      this.#machineCheck();
    }
    return 0;
  }

  /** The word that STCRW stores next; undefined: none is pending. */
  get next(): number | undefined {
    const [word] = this.#words;
    return word && ((word.flags << 16) | word.rsid) >>> 0;
  }

  /** STCRW has stored it. A guest that has found none is told of the next one again. */
  taken(): void {
    if (this.#words.shift() === undefined) this.#armed = true;
  }

  reset(): void {
    this.#words = [];
    this.#armed = true;
    this.#lost = false;
  }

  save(): CssState {
    return {
      ...fixed(),
      pending_crws: this.#words.map((crw) => ({ crw: { ...crw } })),
      do_crw_mchk: this.#armed,
      crws_lost: this.#lost,
    };
  }

  load({ pending_crws, do_crw_mchk, crws_lost }: CssState): void {
    this.#words = pending_crws.map(({ crw }) => ({ ...crw }));
    this.#armed = do_crw_mchk;
    this.#lost = crws_lost;
  }
}

/** What does not change while a machine of this kind runs. */
function fixed(): Omit<CssState, "pending_crws" | "do_crw_mchk" | "crws_lost"> {
  return {
    sei_pending: false,
    max_cssid: 0,
    max_ssid: 0,
    chnmon_active: false,
    chnmon_area: 0n,
    css: Array.from({ length: images }, (_, id) => (id === image ? { chpids: virtioPaths() } : null)),
    default_cssid: image,
  };
}

/** `DEVICE_CHECK` where a subsystem came that has other images or paths, or more reports than it keeps. */
export function checkReports(state: CssState): undefined {
  const { pending_crws, do_crw_mchk, crws_lost } = state;
  if (pending_crws.length > mostWords) {
    const found = String(pending_crws.length);
    throw new MigrationError("DEVICE_CHECK", "too many channel reports", {
      path: "pending_crws",
      expected: `at most ${mostWords}`,
      found,
    });
  }
  const own = encodeState(cssDescription, { ...fixed(), pending_crws, do_crw_mchk, crws_lost });
  const came = encodeState(cssDescription, state);
  const at = came.findIndex((byte, i) => byte !== own[i]);
  if (at < 0) return;
  throw new MigrationError("DEVICE_CHECK", "another channel subsystem than this machine's", {
    path: "css",
    expected: `0x${own[at]?.toString(16)} in byte ${at}`,
    found: `0x${came[at]?.toString(16)}`,
  });
}

function virtioPaths() {
  return Array.from({ length: images }, (_, id) =>
    id === pathId ? { in_use: 1, type: virtioPathType, is_virtual: 1 } : { in_use: 0, type: 0, is_virtual: 0 },
  );
}
