/** An authenticated cipher as DTLS 1.2 uses it. */
export interface Aead {
  /** As `node:crypto` calls it. */
  readonly algorithm: 'aes-128-gcm' | 'aes-128-ccm' | 'chacha20-poly1305'
  readonly keyLength: number
  /** Bytes of a nonce that come from the key block. */
  readonly saltLength: number
  /** Bytes of a nonce that travel in the record: 8, or 0 where the record number is mixed into the salt (RFC 7905 section 2). */
  readonly explicitLength: number
  readonly tagLength: number
  /** Records that fail to open before the association ends: the chance of a forgery stays below 2^-44 with a tag of 64 bits (RFC 9147 section 4.5.3). */
  readonly mostFailures: number
}

export const AES_128_GCM: Aead = {
  algorithm: 'aes-128-gcm',
  keyLength: 16,
  saltLength: 4,
  explicitLength: 8,
  tagLength: 16,
  mostFailures: 2 ** 36
}

export const AES_128_CCM: Aead = {
  algorithm: 'aes-128-ccm',
  keyLength: 16,
  saltLength: 4,
  explicitLength: 8,
  tagLength: 16,
  mostFailures: 2 ** 23
}

export const AES_128_CCM_8: Aead = { ...AES_128_CCM, tagLength: 8, mostFailures: 2 ** 20 }

export const CHACHA20_POLY1305: Aead = {
  algorithm: 'chacha20-poly1305',
  keyLength: 32,
  saltLength: 12,
  explicitLength: 0,
  tagLength: 16,
  mostFailures: 2 ** 36
}
