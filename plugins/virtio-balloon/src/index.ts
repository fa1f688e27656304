// @godwit/virtio-balloon: the virtio memory balloon.
export { balloonFeature, hintCommand, hintStatus, pageBytes } from "./constants.ts";
export { type VirtioBalloonState, virtioBalloonDevice } from "./device-state.ts";
export { type VirtioBalloonModel, type VirtioBalloonOptions, virtioBalloon } from "./model.ts";
export { virtioBalloonClass } from "./section.ts";
export type { MemoryStatistics, StatisticName } from "./statistics.ts";
