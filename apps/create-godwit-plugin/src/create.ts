// Makes one plugin's project.
import { fillTemplate } from "./fill.ts";
import { folderOf, namesOf } from "./names.ts";
import { readTemplate } from "./template.ts";
import { writeProject } from "./write.ts";

export interface CreateOptions {
  /** The package's name. */
  readonly name: string;
  /** Where; the default is the last part of the name, in the current folder. It must be empty or not be there. */
  readonly folder?: string;
  /** The device's name on the wire and in the code; the default follows from `name`. */
  readonly device?: string;
}

export interface CreatedPlugin {
  readonly folder: string;
  readonly device: string;
  /** Paths in the folder, with slashes. */
  readonly files: readonly string[];
}

/** `DEVICE_INVALID`, `FOLDER_NOT_EMPTY`, `FOLDER_UNWRITABLE`, `NAME_INVALID`; nothing has been written then. */
export function createPlugin({ name, folder = folderOf(name), device }: CreateOptions): CreatedPlugin {
  const names = namesOf(name, device);
  const files = fillTemplate(readTemplate(), names);
  writeProject(folder, files);
  return { folder, device: names.device, files: [...files.keys()] };
}
