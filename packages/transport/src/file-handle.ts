// What reading and writing files need of an open file, and the same for a descriptor that was inherited.
import { close, fsync, read, write } from "node:fs";

export interface OpenFile {
  /** `position` null is wherever the descriptor stands. */
  read(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ readonly bytesRead: number }>;
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ readonly bytesWritten: number }>;
  sync(): Promise<void>;
  /** Closes it; again, does nothing. */
  close(): Promise<void>;
}

export function openFileOf(fd: number): OpenFile {
  let closed = false;
  return {
    read: (bytes, offset, length, position) =>
      new Promise((resolve, reject) => {
        read(fd, bytes, offset, length, position, (error, bytesRead) =>
          error ? reject(error) : resolve({ bytesRead }),
        );
      }),
    write: (bytes, offset, length, position) =>
      new Promise((resolve, reject) => {
        write(fd, bytes, offset, length, position, (error, bytesWritten) =>
          error ? reject(error) : resolve({ bytesWritten }),
        );
      }),
    sync: () => new Promise((resolve, reject) => fsync(fd, (error) => (error ? reject(error) : resolve()))),
    close() {
      // Once: the number may be another file's by the second time.
      if (closed) return Promise.resolve();
      closed = true;
      return new Promise((resolve, reject) => close(fd, (error) => (error ? reject(error) : resolve())));
    },
  };
}
