// @godwit/migration/qemu: what a live migration says to a QEMU, and hears from one.
export * from "./commands.ts";
export { type ReturnMessage, ReturnPathReader, type ReturnPathReaderInit, ReturnPathWriter } from "./return-path.ts";
