// The unit's caches: translations by domain and page (IOTLB), and context entries by source id. Neither migrates.
import type { Context, Mapping } from "./tables.ts";

/** Entries that an IOTLB holds; when it is full it is emptied, which costs walks and nothing else. */
const iotlbEntries = 1024;

const pageSizes: readonly number[] = [2 ** 12, 2 ** 21, 2 ** 30];

/** Translations keyed by domain id and page. A stale one stays until the guest invalidates it, as in hardware. */
export class Iotlb {
  // One map a page size, from page number to mapping: a page number is safe as a key where an address with a domain id
  // in front of it would leave the safe integers.
  readonly #domains = new Map<number, readonly Map<number, Mapping>[]>();
  #entries = 0;

  get entries(): number {
    return this.#entries;
  }

  lookup(domainId: number, iova: number): Mapping | undefined {
    const maps = this.#domains.get(domainId);
    if (maps === undefined) return undefined;
    for (let i = 0; i < pageSizes.length; i++) {
      const mapping = maps[i]?.get(Math.floor(iova / (pageSizes[i] as number)));
      if (mapping !== undefined) return mapping;
    }
    return undefined;
  }

  insert(domainId: number, iova: number, mapping: Mapping): void {
    if (this.#entries >= iotlbEntries) this.clear();
    let maps = this.#domains.get(domainId);
    if (maps === undefined) {
      maps = pageSizes.map(() => new Map<number, Mapping>());
      this.#domains.set(domainId, maps);
    }
    const map = maps[pageSizes.indexOf(mapping.pageBytes)] as Map<number, Mapping>;
    const before = map.size;
    map.set(Math.floor(iova / mapping.pageBytes), mapping);
    this.#entries += map.size - before;
  }

  clear(): void {
    this.#domains.clear();
    this.#entries = 0;
  }

  clearDomain(domainId: number): void {
    for (const map of this.#domains.get(domainId) ?? []) this.#entries -= map.size;
    this.#domains.delete(domainId);
  }

  /** Drops every page of the domain that has a byte in the range. */
  clearPages(domainId: number, iova: number, bytes: number): void {
    for (const [i, map] of (this.#domains.get(domainId) ?? []).entries()) {
      const size = pageSizes[i] as number;
      const first = Math.floor(iova / size);
      const last = Math.floor((iova + bytes - 1) / size);
      for (const page of map.keys()) {
        if (page >= first && page <= last && map.delete(page)) this.#entries--;
      }
    }
  }
}

/** Context entries by source id. */
export class ContextCache {
  readonly #contexts = new Map<number, Context>();

  get entries(): number {
    return this.#contexts.size;
  }

  lookup(sourceId: number): Context | undefined {
    return this.#contexts.get(sourceId);
  }

  insert(sourceId: number, context: Context): void {
    this.#contexts.set(sourceId, context);
  }

  clear(): void {
    this.#contexts.clear();
  }

  clearDomain(domainId: number): void {
    this.#drop((_, context) => context.domainId === domainId);
  }

  /**
   * Drops a device; `functionMask` (FM, 0 to 3) leaves out that many of the upper bits of the function number when
   * comparing. The domain id of the command is not compared: dropping too much is allowed, too little is not.
   */
  clearDevice(sourceId: number, functionMask: number): void {
    const compared = 0xffff & ~([0b000, 0b100, 0b110, 0b111][functionMask] as number);
    this.#drop((one) => ((one ^ sourceId) & compared) === 0);
  }

  #drop(matches: (sourceId: number, context: Context) => boolean): void {
    for (const [sourceId, context] of this.#contexts) {
      if (matches(sourceId, context)) this.#contexts.delete(sourceId);
    }
  }
}
