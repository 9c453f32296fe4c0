import { createHmac, hkdfSync } from 'node:crypto'
import type { AeadAlgorithm } from './algorithms.ts'
import { CBOR_NULL, cborArray, cborBytes, cborInteger, cborText } from './cbor.ts'

/** What both peers have agreed on (RFC 8613 section 3.2). */
export interface KeyInput {
  readonly algorithm: AeadAlgorithm
  readonly masterSecret: Uint8Array
  readonly masterSalt: Uint8Array
  readonly senderId: Uint8Array
  readonly recipientId: Uint8Array
  readonly idContext: Uint8Array | undefined
}

export interface DerivedKeys {
  readonly senderKey: Uint8Array
  readonly recipientKey: Uint8Array
  readonly commonIv: Uint8Array
}

/** The `info` of one output (RFC 8613 section 3.2.1). */
export const derivationInfo = (
  id: Uint8Array,
  idContext: Uint8Array | undefined,
  algorithm: AeadAlgorithm,
  type: 'Key' | 'IV',
  length: number
): Uint8Array =>
  cborArray(
    cborBytes(id),
    idContext === undefined ? CBOR_NULL : cborBytes(idContext),
    cborInteger(algorithm.number),
    cborText(type),
    cborInteger(length)
  )

const NO_ID = new Uint8Array(0)

/** HKDF with SHA-256 (RFC 8613 section 3.2.1). */
export const deriveKeys = ({ algorithm, masterSecret, masterSalt, senderId, recipientId, idContext }: KeyInput): DerivedKeys => {
  const derive = (id: Uint8Array, type: 'Key' | 'IV', length: number): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', masterSecret, masterSalt, derivationInfo(id, idContext, algorithm, type, length), length))
  return {
    senderKey: derive(senderId, 'Key', algorithm.keyLength),
    recipientKey: derive(recipientId, 'Key', algorithm.keyLength),
    commonIv: derive(NO_ID, 'IV', algorithm.nonceLength)
  }
}

/** A text that is equal for equal sender keys and says nothing about them. `id` is the sender's. */
export const keyFingerprint = ({ masterSecret, masterSalt, idContext }: KeyInput, id: Uint8Array): string =>
  createHmac('sha256', masterSecret)
    .update(cborArray(cborText('iopa'), cborBytes(masterSalt), idContext === undefined ? CBOR_NULL : cborBytes(idContext), cborBytes(id)))
    .digest('hex')
