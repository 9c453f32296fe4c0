import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto'
import { IopaError } from '@iopa/transport'

/** Names of the AEAD algorithms (RFC 9053 sections 4.1 and 4.2). */
export type OscoreAlgorithm = 'AES-CCM-16-64-128' | 'A128GCM'

/** An AEAD algorithm; lengths are in bytes. */
export interface AeadAlgorithm {
  readonly name: OscoreAlgorithm
  /** Its number in COSE. */
  readonly number: number
  readonly cipher: CipherCCMTypes | CipherGCMTypes
  readonly keyLength: number
  readonly nonceLength: number
  readonly tagLength: number
}

export const ALGORITHMS: Readonly<Record<OscoreAlgorithm, AeadAlgorithm>> = {
  'AES-CCM-16-64-128': { name: 'AES-CCM-16-64-128', number: 10, cipher: 'aes-128-ccm', keyLength: 16, nonceLength: 13, tagLength: 8 },
  A128GCM: { name: 'A128GCM', number: 1, cipher: 'aes-128-gcm', keyLength: 16, nonceLength: 12, tagLength: 16 }
}

/** Bytes of the longest plaintext: the length field of CCM with a nonce of 13 bytes has two (RFC 9053 section 4.2). */
const MOST_PLAINTEXT = 0xffff

// Node has overloads for the two modes; CCM has to know the length of the plaintext first, which GCM ignores.
type Cipher = CipherCCMTypes

/** Encrypts, and appends the tag (RFC 5116 section 2.1). @throws IopaError 413 for more than 65,535 bytes */
export const seal = (algorithm: AeadAlgorithm, key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array => {
  if (plaintext.length > MOST_PLAINTEXT)
    throw new IopaError(
      413,
      'message-too-large',
      `A message under OSCORE has at most ${MOST_PLAINTEXT} bytes, not ${plaintext.length}: send it in blocks.`
    )
  const cipher = createCipheriv(algorithm.cipher as Cipher, key, nonce, { authTagLength: algorithm.tagLength })
  cipher.setAAD(aad, { plaintextLength: plaintext.length })
  const body = cipher.update(plaintext)
  cipher.final()
  const sealed = Buffer.allocUnsafe(body.length + algorithm.tagLength)
  sealed.set(body)
  sealed.set(cipher.getAuthTag(), body.length)
  return sealed
}

/** The plaintext, or undefined if the key, the nonce, the AAD or a byte of the ciphertext is another one. */
export const unseal = (
  algorithm: AeadAlgorithm,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  ciphertext: Uint8Array
): Uint8Array | undefined => {
  const length = ciphertext.length - algorithm.tagLength
  if (length < 0 || length > MOST_PLAINTEXT) return undefined
  const decipher = createDecipheriv(algorithm.cipher as Cipher, key, nonce, { authTagLength: algorithm.tagLength })
  decipher.setAuthTag(ciphertext.subarray(length))
  decipher.setAAD(aad, { plaintextLength: length })
  try {
    const plaintext = decipher.update(ciphertext.subarray(0, length))
    decipher.final()
    return plaintext
  } catch {
    // CCM checks the tag in update, GCM in final.
    return undefined
  }
}
