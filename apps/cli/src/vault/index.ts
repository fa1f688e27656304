// godwit/vault: a machine of `@godwit/migration` made of whatever arrives.
export type { HeldEntry } from "./content.ts";
export type { VaultRamOffer } from "./ram-offer.ts";
export { createVault, type Vault, type VaultAttempt, type VaultOptions } from "./vault.ts";
export type { StreamEnd } from "./vault-incoming.ts";
export type { ReceiveModes, SendModes } from "./vault-ram.ts";
