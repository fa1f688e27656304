// Without the DOM's library and with no types but ES2023's, a runtime's names are unknown.
export const page: unknown = document; // error TS2584
export const environment: unknown = process; // error TS2591
