import { randomBytes } from 'node:crypto'
import type { Clock, RefusedRequest, User } from '@iopa/transport'
import { cborBytes, decodeCborBytes } from '../crypto/cbor.ts'
import type { KeyInput } from '../crypto/key-derivation.ts'
import { encodePartialIv } from '../crypto/nonce.ts'
import { CODE } from '../messages/option-numbers.ts'
import type { OscoreHeader } from '../messages/oscore-option.ts'
import { sealMessage } from '../messages/outgoing.ts'
import { decodePlaintext } from '../messages/plaintext.ts'
import { REFUSALS } from '../messages/refusals.ts'
import { Budget } from './budget.ts'
import type { ContextSource, Opening, ProtectedFields } from './context-source.ts'
import { RederivationTokens, TOKEN_LENGTH } from './rederivation-tokens.ts'
import { associationEnded, SecurityContext } from './security-context.ts'
import { FreshNumbers } from './sequence-numbers.ts'

/** Bytes of R1 and R3. */
const RANDOM = 8
/** Bytes of an ID Context that is taken from a message. */
const MOST_ID_CONTEXT = 128
/** First requests that are answered at once, and those per second. */
const EXCHANGES = 16

const NOTHING = new Uint8Array(0)

/**
 * Security contexts of one peer that are derived with random values of both sides (RFC 8613 appendix B.2): no key is used in two processes, so that
 * nothing has to be stored. ID1 = R1, ID2 = R2 || ID1, ID3 = R2 || R3.
 */
export class RederivedContexts implements ContextSource {
  readonly user: User
  readonly recipientId: Uint8Array
  readonly #keys: KeyInput
  readonly #tokens: RederivationTokens
  readonly #budget: Budget
  /** The context that requests are sent in: the first one, R1, until the exchange is complete. */
  #current: SecurityContext | undefined
  /** The one before: messages in flight may still belong to it. */
  #previous: SecurityContext | undefined
  #ended = false

  constructor(keys: KeyInput, user: User, clock: Clock) {
    this.user = user
    this.recipientId = keys.recipientId
    this.#keys = keys
    this.#tokens = new RederivationTokens(clock)
    this.#budget = new Budget(EXCHANGES, clock)
  }

  candidates(kidContext: Uint8Array | undefined): readonly SecurityContext[] {
    const all = [this.#current, this.#previous].filter(context => context !== undefined)
    if (kidContext === undefined) return all
    return all.filter(context => context.kidContext !== undefined && Buffer.compare(context.kidContext, kidContext) === 0)
  }

  sending(): SecurityContext {
    if (this.#ended) throw associationEnded()
    this.#current ??= this.#derive(randomBytes(RANDOM))
    return this.#current
  }

  /** The server's part: answers a first request with R2, and takes the context of a second one. */
  rederive(
    { kidContext, partialIv }: ProtectedFields,
    open: (context: SecurityContext) => Opening | Promise<Opening>
  ): ReturnType<ContextSource['rederive']> {
    // A replay in a context that exists is no first request.
    if (this.#ended || (kidContext !== undefined && this.candidates(kidContext).length > 0)) return undefined
    // A peer that has lost nothing itself may not name a context (RFC 8613 appendix B.2).
    const id = kidContext === undefined ? (this.#keys.idContext ?? NOTHING) : decodeCborBytes(kidContext)
    if (id === undefined || id.length > MOST_ID_CONTEXT) return undefined
    if (id.length > TOKEN_LENGTH && this.#tokens.verify(id.subarray(0, TOKEN_LENGTH))) return this.#complete(id, open)
    return this.#answer(kidContext === undefined ? this.#keys.idContext : id, partialIv, open)
  }

  #complete(id: Uint8Array, open: (context: SecurityContext) => Opening | Promise<Opening>): Opening | Promise<Opening> {
    const third = this.#derive(new Uint8Array(id))
    const opened = open(third)
    if ('refusal' in opened) third.end()
    else {
      this.#tokens.renew()
      this.#replace(third)
    }
    return opened
  }

  #answer(
    id: Uint8Array | undefined,
    partialIv: Uint8Array,
    open: (context: SecurityContext) => Opening | Promise<Opening>
  ): Opening | Promise<Opening> {
    const first = this.#derive(id)
    const opened = open(first)
    first.end()
    if ('refusal' in opened) return opened
    return this.#budget.take() ? this.#challenge(id ?? NOTHING, partialIv) : REFUSALS.busy
  }

  /** Response #1: 4.01 under the second context, with R2 as kid context. Its keys are used once, so that its Partial IV may be 0. */
  #challenge(id: Uint8Array, requestPartialIv: Uint8Array): RefusedRequest {
    const token = this.#tokens.issue()
    const second = this.#derive(Buffer.concat([token, id]))
    const partialIv = encodePartialIv(0)
    const refusal = sealMessage(
      second,
      { code: CODE.UNAUTHORIZED, options: [], payload: NOTHING },
      { inner: [], outer: [], observe: false },
      {
        nonce: second.ownNonce(partialIv),
        aad: second.authenticatedData(second.recipientId, requestPartialIv),
        header: { partialIv, kidContext: cborBytes(token) }
      }
    )
    second.end()
    return { refusal, code: 'oscore-new-keys' }
  }

  /** The client's part: takes R2, and makes the third context. */
  rederived(context: SecurityContext, requestPartialIv: Uint8Array, { kidContext, partialIv }: OscoreHeader, ciphertext: Uint8Array): boolean {
    const token = kidContext === undefined ? undefined : decodeCborBytes(kidContext)
    if (this.#ended || token === undefined || token.length < RANDOM || token.length > MOST_ID_CONTEXT) return false
    const second = this.#derive(Buffer.concat([token, context.idContext ?? NOTHING]))
    const nonce = partialIv === undefined ? second.ownNonce(requestPartialIv) : second.peerNonce(partialIv)
    const plaintext = second.unseal(nonce, second.authenticatedData(second.senderId, requestPartialIv), ciphertext)
    second.end()
    if (plaintext === undefined || decodePlaintext(plaintext)?.code !== CODE.UNAUTHORIZED) return false
    // Another request may have got its response before: one exchange is enough.
    if (this.#current === context) this.#replace(this.#derive(Buffer.concat([token, randomBytes(RANDOM)])))
    return true
  }

  end(): void {
    this.#ended = true
    this.#current?.end()
    this.#previous?.end()
  }

  #replace(context: SecurityContext): void {
    this.#previous?.end()
    this.#previous = this.#current
    this.#current = context
  }

  #derive(idContext: Uint8Array | undefined): SecurityContext {
    return new SecurityContext({
      keys: { ...this.#keys, idContext },
      user: this.user,
      numbers: new FreshNumbers(),
      kidContext: idContext === undefined ? undefined : cborBytes(idContext),
      fresh: true
    })
  }
}
