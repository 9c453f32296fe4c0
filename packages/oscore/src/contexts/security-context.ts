import { randomUUID } from 'node:crypto'
import { IopaError, type User } from '@iopa/transport'
import { type AeadAlgorithm, seal, unseal } from '../crypto/algorithms.ts'
import { type DerivedKeys, deriveKeys, type KeyInput } from '../crypto/key-derivation.ts'
import { authenticatedData, Nonces } from '../crypto/nonce.ts'
import { ReplayWindow } from './replay-window.ts'
import type { SequenceNumbers } from './sequence-numbers.ts'

/** What is fixed for a security context. */
export interface ContextSetup {
  readonly keys: KeyInput
  readonly user: User
  readonly numbers: SequenceNumbers
  /** The kid context that its requests carry; undefined if they carry none. */
  readonly kidContext: Uint8Array | undefined
  /** False if requests of an earlier process may have used the same keys: then the first request has to prove that it is fresh. */
  readonly fresh: boolean
}

/** Sender, recipient and common context of one association (RFC 8613 section 3.1). */
export class SecurityContext {
  readonly association: { readonly id: string } = Object.freeze({ id: randomUUID() })
  readonly user: User
  readonly algorithm: AeadAlgorithm
  readonly senderId: Uint8Array
  readonly recipientId: Uint8Array
  readonly idContext: Uint8Array | undefined
  readonly kidContext: Uint8Array | undefined
  readonly numbers: SequenceNumbers
  readonly #keys: DerivedKeys
  readonly #ownNonces: Nonces
  readonly #peerNonces: Nonces
  /** Authenticated data by the length of the number: of our requests, and of those of the peer. */
  readonly #ownData: Uint8Array[] = []
  readonly #peerData: Uint8Array[] = []
  #window: ReplayWindow | undefined
  #ended = false

  constructor({ keys, user, numbers, kidContext, fresh }: ContextSetup) {
    this.user = user
    this.algorithm = keys.algorithm
    this.senderId = keys.senderId
    this.recipientId = keys.recipientId
    this.idContext = keys.idContext
    this.kidContext = kidContext
    this.numbers = numbers
    this.#keys = deriveKeys(keys)
    this.#ownNonces = new Nonces(this.#keys.commonIv, keys.senderId)
    this.#peerNonces = new Nonces(this.#keys.commonIv, keys.recipientId)
    this.#window = fresh ? new ReplayWindow() : undefined
  }

  get ended(): boolean {
    return this.#ended
  }

  /** The numbers that the peer has used; undefined until one of its requests was proven to be fresh. */
  get window(): ReplayWindow | undefined {
    return this.#window
  }

  /** The request with this number is fresh: it and newer ones are accepted (RFC 8613 appendix B.1.2). */
  synchronise(number: number): void {
    this.#window = new ReplayWindow(number)
  }

  /** The nonce of a Partial IV of our own. Valid until the next call. */
  ownNonce(partialIv: Uint8Array): Uint8Array {
    return this.#ownNonces.of(partialIv)
  }

  /** The nonce of a Partial IV of the peer. Valid until the next call. */
  peerNonce(partialIv: Uint8Array): Uint8Array {
    return this.#peerNonces.of(partialIv)
  }

  /** Valid until the next call: of one id and one length of numbers only the number differs. */
  authenticatedData(requestKid: Uint8Array, requestPartialIv: Uint8Array): Uint8Array {
    const { senderId, recipientId } = this
    const known = requestKid === senderId ? this.#ownData : requestKid === recipientId ? this.#peerData : []
    const { length } = requestPartialIv
    const data = (known[length] ??= authenticatedData(this.algorithm, requestKid, requestPartialIv))
    // An empty byte string, the options of class I, follows the number.
    data.set(requestPartialIv, data.length - 1 - length)
    return data
  }

  /** @throws IopaError 503 after the end */
  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    if (this.#ended) throw associationEnded()
    return seal(this.algorithm, this.#keys.senderKey, nonce, aad, plaintext)
  }

  /** Undefined if it was not made by the peer. */
  unseal(nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
    return this.#ended ? undefined : unseal(this.algorithm, this.#keys.recipientKey, nonce, aad, ciphertext)
  }

  /** Overwrites the keys. Copies that OpenSSL or the garbage collector made are out of reach. */
  end(): void {
    this.#ended = true
    this.#keys.senderKey.fill(0)
    this.#keys.recipientKey.fill(0)
    this.#keys.commonIv.fill(0)
    this.#ownNonces.end()
    this.#peerNonces.end()
  }
}

export const associationEnded = (): IopaError =>
  new IopaError(503, 'association-ended', 'The OSCORE association has ended: its user was revoked, it was closed, or the peer has new keys.')
