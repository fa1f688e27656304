// The error codes of this plugin's own, beside those of core. They are API: a code keeps its meaning for ever.
export const ramErrorCodes = {
  MAPPED_RAM: "the mapped-ram header of a RAM block does not fit the file",
  MULTIFD_HELLO: "a connection does not begin as a multifd channel of this migration",
  MULTIFD_PACKET: "a multifd packet cannot be what its header says",
  MULTIFD_SYNC: "multifd channels and the main stream do not meet",
  PAGE_CODEC: "compressed page data does not give the pages that it stands for",
  XBZRLE_INVALID: "a page delta does not fit the page",
} as const;

export type RamErrorCode = keyof typeof ramErrorCodes;
