import type { Logger, SealedAnswer } from '@iopa/transport'
import { blockValue } from '../codec/block.ts'
import { CODE } from '../codec/codes.ts'
import { LONGEST_TRACE, OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import type { Exchange } from '../exchanges/exchange.ts'
import type { KeptAnswers } from '../resources/kept-answers.ts'
import { diagnostic, type FormatTable, type Representation, represent, withoutCode, writeRepresentation } from '../resources/representation.ts'
import type { CoapRequest } from '../resources/request.ts'
import { firstBlock, singleSize, szxOf } from '../resources/responses.ts'
import { observesOn, type RelayedResponse, relayedRepresentation } from './relayed-response.ts'

const NONE = -1
/** Size exponent of the largest block of a notification to an unverified peer: 64 bytes. */
const UNVERIFIED_SZX = 2
const FAILED = diagnostic(CODE.INTERNAL_SERVER_ERROR, '')
const FORMAT_CHANGED = diagnostic(CODE.NOT_ACCEPTABLE, 'The resource has another Content-Format now.')

/** A notification to send. The options belong to a writer that is used again, so they are to be copied at once. */
export interface Notification {
  readonly code: number
  readonly options: Options
  readonly payload: Uint8Array
}

/** Where notifications come from: it is asked when one is sent, so that it has the newest state and none is made for nothing. */
export interface NotificationSource {
  /** The newest state. Never throws. */
  notification(): Notification
  /** The peer has acknowledged the newest state, or it was sent without acknowledgement. */
  delivered(): void
  /** The peer rejects notifications, or does not acknowledge them. */
  end(reason: 'reset' | 'disconnect'): void
}

/** Sends the notifications of one observation. */
export interface Notifier {
  /** Sends the newest state as soon as the peer may be sent it; a promise says when a further one makes sense. */
  changed(): Promise<void> | undefined
  /** Sends the last message, without waiting for its acknowledgement. */
  dismiss(code: number, options: Options, payload?: Uint8Array): void
  /** Gives up what is on its way. */
  close(): void
}

/** What a notification is made for. */
export interface Notified {
  readonly exchange: Exchange
  readonly request: CoapRequest
  readonly sequence: number
  /** The Content-Format of the first answer, -1 for none. */
  readonly contentFormat: number
  /** Set with the last notification. */
  last: boolean
}

/** An answer in the terms of CoAP, for all observers that accept the same format. */
interface Rendered {
  readonly answer: SealedAnswer
  readonly accept: number
  readonly representation: Representation
  /** The trace of the change; undefined where the answer has none. */
  readonly traceparent: Uint8Array | undefined
}

/** How notifications are made. */
export interface NotificationSettings {
  readonly formats: FormatTable
  readonly kept: KeptAnswers
  readonly logger: Logger
  /** Size exponent of the largest block on datagrams. */
  readonly szx: number
}

/** Makes notifications: of a large representation an observer gets the first block, and fetches the others (RFC 7959 section 3.4). */
export class Notifications {
  readonly #settings: NotificationSettings
  readonly #writer = new Options()
  /** The last answer that was rendered: most resources have many observers, who all get the same. */
  #rendered: Rendered | undefined

  constructor(settings: NotificationSettings) {
    this.#settings = settings
  }

  /** The notification of an answer; the last one where the answer is an error or of another format than the first (RFC 7641 section 4.2). Never throws. */
  next(observer: Notified, answer: SealedAnswer): Notification {
    const { formats, logger } = this.#settings
    const { accept } = observer.request
    let last: Representation
    try {
      let rendered = this.#rendered
      if (rendered?.answer !== answer || rendered.accept !== accept)
        rendered = this.#rendered = { answer, accept, representation: represent(answer, CODE.GET, accept, formats), traceparent: traceOf(answer) }
      const { representation, traceparent } = rendered
      // 2.03 is no 2xx.
      const ok = representation.code >> 5 === 2 && representation.code !== CODE.VALID
      if (ok && representation.contentFormat === observer.contentFormat) return this.#write(observer, representation, traceparent)
      last = ok ? FORMAT_CHANGED : representation
    } catch (error) {
      logger.error('iopa: a CoAP notification could not be made', error)
      last = FAILED
    }
    observer.last = true
    // Without the Observe option.
    if (!observer.exchange.remote.verified) last = withoutCode(last)
    const options = writeRepresentation(this.#writer, last, { observe: NONE, block1: NONE, block2: NONE, size1: NONE, size2: NONE })
    return { code: last.code, options, payload: last.payload as Uint8Array }
  }

  /** The notification of another server, as it came; the last one where that server does not go on. */
  relayed(observer: Notified, response: RelayedResponse): Notification {
    const representation = relayedRepresentation(response)
    if (representation.code >> 5 === 2 && observesOn(response.options)) return this.#write(observer, representation, undefined)
    observer.last = true
    const options = writeRepresentation(this.#writer, representation, { observe: NONE, block1: NONE, block2: NONE, size1: NONE, size2: NONE })
    return { code: representation.code, options, payload: response.payload }
  }

  #write({ exchange, request, sequence }: Notified, representation: Representation, traceparent: Uint8Array | undefined): Notification {
    const { remote } = exchange
    const { kept, szx: largest } = this.#settings
    const { size } = representation
    let payload = representation.payload as Uint8Array
    const beginning = payload.length < size
    const wanted = szxOf(request, remote, largest)
    // An unverified peer gets it on trust, so it is short.
    const szx = remote.verified ? wanted : Math.min(wanted, UNVERIFIED_SZX)
    let block2 = request.block2 === NONE ? NONE : blockValue(0, false, szx)
    let size2 = NONE
    if (size > singleSize(request, remote, szx) || beginning) {
      // At once: some clients fetch the next block before they acknowledge this one. The blocks after a beginning are not those of a former body.
      if (beginning) kept.remove(remote, request)
      else kept.keep(remote, request, representation, undefined)
      payload = firstBlock(remote, representation, szx)
      block2 = blockValue(0, true, szx)
      size2 = size
    }
    const options = writeRepresentation(this.#writer, representation, { observe: sequence, block1: NONE, block2, size1: NONE, size2 })
    if (traceparent !== undefined && remote.verified) options.add(OPTION.TRACEPARENT, traceparent)
    return { code: representation.code, options, payload }
  }
}

/** The header `traceparent` of an answer, as the value of its option. */
const traceOf = (answer: SealedAnswer): Uint8Array | undefined => {
  if (answer.headerPairs.length === 0) return undefined
  const value = answer.headers.get('traceparent')
  return value === undefined || value === '' || value.length > LONGEST_TRACE ? undefined : Buffer.from(value)
}
