// What the two processes of the machine tell the one that started them: one JSON object a line on standard output.
import type { LoadReport, MigrationErrorJson, SectionSummary } from "@godwit/core";
import type { DestinationStatistics, MigrationStatistics, RoundSummary } from "@godwit/migration";
import type { CardReport } from "../card-evidence.ts";
import type { Options } from "../cli/options.ts";
import type { Verdict } from "../evidence.ts";
import type { ChannelCounts } from "../guest/channel-block.ts";
import type { GuestStatus } from "../guest/status-block.ts";

export type Role = "source" | "destination";

/** What a process is started with. */
export interface RoleOptions extends Options {
  /** The folder with the shared disk and packet log. */
  readonly folder: string;
  /** The source is told where the destination listens. */
  readonly uri?: string;
}

/** Post-copy: pages that followed the machine. */
export interface FollowedPages {
  /** What was dirty when the machine was switched over, and so not there. */
  readonly dirtyPages: number;
  /** Of those, not there yet at the guest's first instruction. */
  readonly absentAtStart: number;
  /** Accesses to absent pages. One that is begun anew, and meets another one, counts again. */
  readonly faults: number;
  readonly requestedPages: number;
  /** Came without being asked for. */
  readonly unaskedPages: number;
  /** From the request of a page to its arrival. */
  readonly latencyMs: { readonly medianMs: number; readonly p95Ms: number; readonly maxMs: number };
}

export interface Evidence {
  readonly blocks: Verdict;
  readonly packets: Verdict;
  readonly disk: Verdict;
  /** Of the instant in which the machine arrived: the guest writes over what a later look would find. */
  readonly pool: Verdict;
  /** pseries: device trees that the guest fetched, and the packets of the cards that they are of. */
  readonly trees?: Verdict;
  readonly cardPackets?: Verdict;
  /** Of profiles with the devices beside disk and network card. Balloon and jobs are also of the machine's arrival. */
  readonly draws?: Verdict;
  readonly linesOut?: Verdict;
  readonly linesIn?: Verdict;
  readonly balloon?: Verdict;
  readonly scsiBlocks?: Verdict;
  readonly scsiDisk?: Verdict;
  readonly jobs?: Verdict;
}

export type Message =
  /** Told by the program that starts the processes. */
  | { readonly event: "started"; readonly pid: number | undefined }
  | { readonly event: "console"; readonly line: string }
  | { readonly event: "listening"; readonly uri: string }
  /** Mode tls: this side has a connection with a peer whose certificate the authority with this fingerprint has signed. */
  | { readonly event: "verified"; readonly authority: string }
  | { readonly event: "warming-up"; readonly guest: GuestStatus | undefined }
  | { readonly event: "status"; readonly status: string }
  | { readonly event: "progress"; readonly statistics: MigrationStatistics; readonly guest: GuestStatus | undefined }
  | { readonly event: "received"; readonly statistics: DestinationStatistics }
  | { readonly event: "round"; readonly round: RoundSummary }
  | { readonly event: "verdict"; readonly text: string }
  | {
      readonly event: "sent";
      readonly status: string;
      readonly statistics: MigrationStatistics;
      readonly sections: readonly SectionSummary[];
      readonly error?: MigrationErrorJson;
    }
  | {
      readonly event: "loaded";
      readonly status: string;
      readonly load?: LoadReport;
      readonly followed?: FollowedPages;
      readonly error?: MigrationErrorJson;
    }
  | {
      readonly event: "evidence";
      readonly guest: GuestStatus;
      /** Blocks that had completed when the machine began to run here. */
      readonly blocksBefore: number;
      readonly evidence: Evidence;
      readonly clean: boolean;
      /** pseries: what became of each card. */
      readonly cards?: readonly CardReport[];
      /** s390-ccw: since the guest booted. */
      readonly channels?: ChannelCounts;
      /** What the guest did not do. */
      readonly trouble?: string;
    }
  /** Something that has nothing to do with a migration: our own mistake, or the machine's. */
  | { readonly event: "failed"; readonly text: string };

export function tell(message: Message): void {
  process.stdout.write(
    `${JSON.stringify(message, (_, value) => (typeof value === "bigint" ? String(value) : value))}\n`,
  );
}
