// A device of QEMU as its command line names it.
import type { OptionProperty } from "./types.ts";

/** `-device NAME,PROPERTY=VALUE,...` */
export function optionText(device: string, properties: readonly OptionProperty[]): string {
  return `-device ${[device, ...properties.map(({ name, value }) => `${name}=${value}`)].join(",")}`;
}
