// What the benchmark uses of binary-parser, whose own types its `exports` do not show.
declare module "binary-parser" {
  interface Length {
    readonly length: number | string;
  }
  export class Parser {
    endianness(order: "big"): this;
    uint8(name: string): this;
    uint16(name: string): this;
    uint32(name: string): this;
    int32(name: string): this;
    uint64(name: string): this;
    buffer(name: string, size: Length): this;
    array(name: string, of: Length & { readonly type: Parser | "uint32be" }): this;
    seek(bytes: number): this;
    parse(bytes: Uint8Array): unknown;
  }
}
