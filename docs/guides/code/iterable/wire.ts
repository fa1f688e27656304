// What stands on the wire. START: u16 width, u16 lines. PART and END: records, then the end mark. Big-endian.
/** The version of the section. */
export const frameVersion = 1;
/** A record is u16 line, then the line's pixels. Bytes of its head. */
export const recordHeadBytes = 2;
/** Instead of a line: the section's data ends here. */
export const endMark = 0xffff;
