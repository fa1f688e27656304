// Configuration space of virtio-balloon (virtio 1.2, section 5.5.4).

export interface BalloonConfiguration {
  /** Pages that the host wants. */
  readonly pages: number;
  /** Pages that the guest has given up. */
  readonly actual: number;
  /** Present where FREE_PAGE_HINT or PAGE_POISON is offered. */
  readonly hintCommandId: number | undefined;
  /** Present where PAGE_POISON is offered. */
  readonly poison: number | undefined;
}

const at = { pages: 0, actual: 4, hintCommandId: 8, poison: 12 } as const;

/** Bytes of each field. */
export const configurationWidths: readonly number[] = [4, 4, 4, 4];

/** le32 num_pages, le32 actual, le32 free_page_hint_cmd_id, le32 poison_val; as long as what is offered needs. */
export function configurationBytes({ pages, actual, hintCommandId, poison }: BalloonConfiguration): Uint8Array {
  const length = poison !== undefined ? 16 : hintCommandId !== undefined ? 12 : 8;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(at.pages, pages, true);
  view.setUint32(at.actual, actual, true);
  if (hintCommandId !== undefined) view.setUint32(at.hintCommandId, hintCommandId, true);
  if (poison !== undefined) view.setUint32(at.poison, poison, true);
  return bytes;
}

/** What the driver may write, out of an image that it has written to. */
export function writtenBy(image: Uint8Array): { readonly actual: number; readonly poison: number | undefined } {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  return {
    actual: view.getUint32(at.actual, true),
    poison: image.length > at.poison ? view.getUint32(at.poison, true) : undefined,
  };
}
