// What a network device is told when it is made, and what it offers its machine.
import type { VirtioDialect, VirtioModel } from "@godwit/virtio-core";
import type { VirtioNetState } from "./device-state.ts";
import type { PacketHeader } from "./packet-header.ts";

export interface VirtioNetOptions {
  /** `52:54:00:12:34:56`, or six bytes. */
  readonly mac: string | Uint8Array;
  /**
   * Takes a frame that the driver sent: from the destination's address on, without checksum. Its bytes are its own. The
   * header says what is still to be done for it: nothing, unless `vnetHdr` is on.
   */
  readonly send: (frame: Uint8Array, header: PacketHeader) => void;
  /** The default is 1. With more, MQ is offered. */
  readonly queuePairs?: number;
  /** Entries of a receive or transmit ring; the default is 256. */
  readonly queueSize?: number;
  /** Frames that wait for the driver's buffers, at most, in all; the default is 256. */
  readonly backlogFrames?: number;
  /** False: no control queue, so no receive modes, MAC table and VLAN filter. The default is true. */
  readonly controlQueue?: boolean;
  /** False: frames go into one buffer each. The default is true: MRG_RXBUF is offered. */
  readonly mergedBuffers?: boolean;
  /** False: the driver is not asked to announce itself at its new place. The default is true, where there is a control queue. */
  readonly announce?: boolean;
  /**
   * The back end takes and gives packet headers, as a TAP with IFF_VNET_HDR does: it computes checksums and cuts
   * segments, and may leave that to a driver that offers to. Offers CSUM, HOST_* and GUEST_*. The default is false.
   */
  readonly vnetHdr?: boolean;
  /** With `vnetHdr`: fragments of UDP as well. The default is true. */
  readonly ufo?: boolean;
  /** Offers receive-side scaling, without reporting hashes. The default is false. */
  readonly rss?: boolean;
  /** Offers MTU, with this many bytes. */
  readonly mtu?: number;
  /** Which release's "virtio-net-device/rss" is written; the default is 10.0. */
  readonly dialect?: VirtioDialect;
}

/** What became of a frame. Dropped: filtered, link down, no driver, too long for its buffer, or the backlog was full. */
export type Received = "delivered" | "queued" | "dropped";

export interface WaitingFrame {
  readonly frame: Uint8Array;
  readonly header: PacketHeader;
}

export interface VirtioNetModel extends VirtioModel<VirtioNetState> {
  /** Hands a frame to the driver; keeps no reference to it. A header that the driver cannot serve drops it. */
  receive(frame: Uint8Array, header?: PacketHeader): Received;
  /** What the driver takes off the back end's hands, as a mask of GUEST_* bits. */
  readonly guestOffloads: bigint;
  /**
   * Takes the frames out that wait for buffers, in order. They are on this side of the wire and no part of the state:
   * whoever moves the machine may give them to the device at its new place.
   */
  takeBacklog(): WaitingFrame[];
  /** The link goes up or down; the driver is told. */
  setLink(up: boolean): void;
  /** Asks the driver to announce itself, as after a load. False: it did not agree to that. */
  announce(): boolean;
  /** The driver has reset a queue. */
  resetQueue(index: number): void;
}
