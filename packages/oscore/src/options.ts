/** One security context (RFC 8613 section 3), as both peers have agreed on it. */
export interface OscoreContextOptions {
  /** The id of the user that the other peer is. */
  readonly id: string
  readonly masterSecret: Uint8Array
  readonly masterSalt?: Uint8Array
  /** Our id, 0 to 7 bytes. */
  readonly senderId: Uint8Array
  /** The id of the other peer. */
  readonly recipientId: Uint8Array
  readonly idContext?: Uint8Array
  /** AES-CCM-16-64-128 unless given. */
  readonly algorithm?: 'AES-CCM-16-64-128' | 'A128GCM'
}

/** Options of `oscore()`. */
export interface OscoreOptions {
  readonly contexts: readonly OscoreContextOptions[]
  /** Refuses requests that are not protected: all, or those for whose path it is true. */
  readonly require?: boolean | ((path: string) => boolean)
}
