// What channel I/O takes and gives: a device model in, a subchannel and a section out.
import type { Registration } from "@godwit/core";
import type { Dma, VirtioDevice, VirtioDialect, VirtioModel, VirtioParameters } from "@godwit/virtio-core";

/**
 * What an I/O instruction comes to: its condition code, or `operand` where the CPU shall raise an operand exception.
 */
export type Outcome = 0 | 1 | 2 | 3 | "operand";

/** The interruption code that the CPU stores, and the subclass that it masks by. */
export interface IoInterruption {
  readonly cssid: number;
  readonly ssid: number;
  readonly schid: number;
  readonly intparm: number;
  /** Interruption subclass, 0 to 7. */
  readonly isc: number;
}

/**
 * A subchannel, as the machine's CPU reaches it by I/O instructions. Addresses are absolute, in guest memory; one that
 * is not there is `MEMORY_UNMAPPED`, an addressing exception.
 */
export interface Subchannel {
  readonly cssid: number;
  readonly ssid: number;
  /** A machine looks a subchannel up by what this says now: a load may have changed it. */
  readonly schid: number;
  readonly devno: number;
  /** SSCH: runs the channel program of the operation-request block there, to its end or to where it is suspended. */
  startSubchannel(orbAddress: number): Outcome;
  /** TSCH: stores the interruption-response block (96 bytes) there, and clears the status. */
  testSubchannel(irbAddress: number): Outcome;
  /** STSCH: stores the subchannel-information block (52 bytes) there. */
  storeSubchannel(schibAddress: number): Outcome;
  /** MSCH: takes over what a program may change of the subchannel-information block there. */
  modifySubchannel(schibAddress: number): Outcome;
  /** HSCH. */
  haltSubchannel(): Outcome;
  /** CSCH. */
  clearSubchannel(): Outcome;
  /** RSCH: goes on with a suspended channel program. */
  resumeSubchannel(): Outcome;
  /** The guest's notification of a queue (DIAGNOSE 0x500, function 3). False: there is no such queue. */
  kick(queue: number): boolean;
}

export interface VirtioCcwOptions<S, L> {
  /** `cssid.ssid.devno` in hexadecimal, such as `fe.0.0001`; virtio's channel subsystem is `fe`. */
  readonly busId: string;
  /** Number of the subchannel. The default is 0. */
  readonly schid?: number;
  readonly model: VirtioModel<S, L>;
  readonly dma: Dma;
  /** The subchannel is pending with status. A subchannel has one request at most; TSCH takes one back that was not delivered. */
  readonly ioInterrupt: (interruption: IoInterruption) => void;
  /** An adapter interruption of this subclass. */
  readonly adapterInterrupt: (isc: number) => void;
  /** A load has given the subchannel another number. */
  readonly schidChanged?: (from: number, to: number) => void;
  /** The newest revision of virtio-ccw that is accepted; the default is 2. */
  readonly maxRevision?: 0 | 1 | 2;
  /**
   * True: revision 0 as well, whose drivers have not heard of VERSION_1, and whose rings and configuration space are
   * big-endian. The default is false.
   */
  readonly transitional?: boolean;
  /** Ring features beside VERSION_1; the default is RING_INDIRECT_DESC and RING_EVENT_IDX. */
  readonly ringFeatures?: bigint;
  readonly dialect?: VirtioDialect;
}

/** What the plugin offers to whoever assembles the machine. */
export interface VirtioCcwOffer {
  readonly registration: Registration;
  readonly subchannel: Subchannel;
  readonly device: VirtioDevice;
  /** The machine is reset: subchannel and device are as after power-on. */
  reset(): void;
}

/** What decides about the bytes of a virtio-ccw section, beside what the device class adds. The guest is big-endian. */
export type VirtioCcwParameters = VirtioParameters;
