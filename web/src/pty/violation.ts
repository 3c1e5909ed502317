/** The gate broke the protocol. Resuming would not help. */
export class Violation extends Error {}
