import { badAnswer, IopaError, type MessageOption, type PlainMessage, type ProtectedRequest } from '@iopa/transport'
import type { ContextSource } from '../contexts/context-source.ts'
import { associationEnded, type SecurityContext } from '../contexts/security-context.ts'
import { decodePartialIv } from '../crypto/nonce.ts'
import { singleOption } from '../messages/option-classes.ts'
import { CODE, OPTION } from '../messages/option-numbers.ts'
import { decodeOscoreOption } from '../messages/oscore-option.ts'
import { decodePlaintext } from '../messages/plaintext.ts'
import { NotificationOrder } from './notification-order.ts'

/** A request that was protected. */
export interface SentRequest {
  readonly context: SecurityContext
  readonly source: ContextSource
  readonly partialIv: Uint8Array
  /** True if it registers an observation. */
  readonly observes: boolean
  /** The Echo by which the caller is asked to send the request again. */
  readonly again: Uint8Array
}

const NOTHING = new Uint8Array(0)

/** Verifies the responses to one request (RFC 8613 section 8.4). */
export class ProtectedOscoreRequest implements ProtectedRequest {
  readonly message: PlainMessage
  readonly #sent: SentRequest
  readonly #order = new NotificationOrder()
  #answered = false
  #ended = false

  constructor(message: PlainMessage, sent: SentRequest) {
    this.message = message
    this.#sent = sent
  }

  open(response: PlainMessage): PlainMessage | undefined {
    const { context, source, partialIv: requestPartialIv, again } = this.#sent
    if (this.#ended || this.#answered) return undefined
    if (context.ended) throw associationEnded()
    const value = singleOption(response.options, OPTION.OSCORE)
    if (value === undefined) return this.#fail(unprotected(response))
    const header = value === null ? undefined : decodeOscoreOption(value)
    if (header === undefined) return this.#fail(changed())
    const { partialIv, kidContext, kid } = header
    if (kidContext !== undefined && source.rederived(context, requestPartialIv, header, response.payload)) {
      this.#answered = true
      return { code: CODE.UNAUTHORIZED, options: [[OPTION.ECHO, again]], payload: NOTHING }
    }
    // A response needs neither; nothing authenticates them but that they are the ones of the context.
    if (!isOrNone(kid, context.recipientId) || !isOrNone(kidContext, context.kidContext)) return this.#fail(changed())
    const nonce = partialIv === undefined ? context.ownNonce(requestPartialIv) : context.peerNonce(partialIv)
    const plaintext = context.unseal(nonce, context.authenticatedData(context.senderId, requestPartialIv), response.payload)
    const message = plaintext === undefined ? undefined : decodePlaintext(plaintext)
    if (message === undefined || !isResponse(message)) return this.#fail(changed())
    return this.#accept(message, partialIv)
  }

  end(): void {
    this.#ended = true
  }

  #accept(message: PlainMessage, partialIv: Uint8Array | undefined): PlainMessage | undefined {
    if (singleOption(message.options, OPTION.OBSERVE) === undefined) {
      this.#answered = true
      return message
    }
    // A notification needs a registration (RFC 8613 section 4.1.3.5.2).
    if (!this.#sent.observes) return this.#fail(badAnswer('The server notifies, though the request does not observe.'))
    const order = this.#order.place(partialIv === undefined ? undefined : decodePartialIv(partialIv))
    if (order === undefined) return undefined
    const options = message.options.map((option): MessageOption => (option[0] === OPTION.OBSERVE ? [OPTION.OBSERVE, order] : option))
    return { ...message, options }
  }

  /** A response that cannot be verified does not end an observation (RFC 8613 section 8.4.2). */
  #fail(error: IopaError): undefined {
    if (!this.#order.begun) throw error
    return undefined
  }
}

const isOrNone = (given: Uint8Array | undefined, own: Uint8Array | undefined): boolean =>
  given === undefined || (own !== undefined && Buffer.compare(given, own) === 0)

const isResponse = ({ code, options }: PlainMessage): boolean => {
  const kind = code >> 5
  return (kind === 2 || kind === 4 || kind === 5) && !options.some(([number]) => number === OPTION.OSCORE)
}

const changed = (): IopaError =>
  badAnswer('The response cannot be verified: it was changed on its way, or the server has other keys, or another derive.')

/** Diagnostics of RFC 8613 that a server may send without protection. */
const KNOWN = ['Security context not found', 'Replay detected', 'Decryption failed', 'Failed to decode COSE']

const unprotected = ({ code, payload }: PlainMessage): IopaError => {
  const text = Buffer.from(payload.subarray(0, 64)).toString('latin1')
  const said = KNOWN.includes(text) ? ` (${text})` : ''
  return new IopaError(
    502,
    'unprotected-answer',
    `The server, or a proxy, answered ${code >> 5}.${String(code & 31).padStart(2, '0')}${said} without OSCORE: check that both sides have the same keys and ids.`
  )
}
