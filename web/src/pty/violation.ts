/** The gate violated the protocol. Resuming would not help. */
export class Violation extends Error {}
