import { randomBytes } from 'node:crypto'
import { HeaderMap, type IopaError, type LinkAnswer, receivedAnswer } from '@iopa/transport'
import { type InboundMessage, type Receipt, userProperty } from '../remote/message.ts'
import { type Deferred, deferred } from '../remote/waiting.ts'

/** Requests that wait for a message on the Response Topic, by their Correlation Data (MQTT 5 section 4.10.2). */
export class PendingRequests {
  readonly #waiting = new Map<string, Deferred<LinkAnswer>>()

  /** A new request: what goes out with it, and the answer that comes back; `forget` it in any case. */
  add(): { correlationData: Uint8Array; answer: Promise<LinkAnswer>; forget: () => void } {
    // Random, so that only receivers of the request can answer it.
    const correlationData = randomBytes(16)
    const key = correlationData.toString('hex')
    const waiting = deferred<LinkAnswer>()
    // Nobody may be waiting any more when it is rejected.
    waiting.promise.catch(() => {})
    this.#waiting.set(key, waiting)
    return { correlationData, answer: waiting.promise, forget: () => void this.#waiting.delete(key) }
  }

  /** Takes a message of the Response Topic. One that nobody waits for, or for whose request it is too late, is dropped. */
  settle(message: InboundMessage): void {
    const { correlationData } = message.properties
    if (!correlationData) return
    const key = Buffer.from(correlationData).toString('hex')
    this.#waiting.get(key)?.resolve(answerOf(message))
    this.#waiting.delete(key)
  }

  /** Rejects everything that waits. */
  abandon(error: IopaError): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** A message as an answer: its user properties are the status and the headers. */
export const answerOf = ({ payload, properties }: InboundMessage): LinkAnswer => {
  const given = Number(userProperty(properties.userProperties, 'status') ?? 0)
  const status = Number.isInteger(given) && given >= 200 && given <= 599 ? given : payload.length === 0 ? 204 : 200
  return receivedAnswer(status, {
    headers: headersOf(properties.userProperties),
    type: properties.contentType ?? '',
    payload: payload.length === 0 ? null : payload
  })
}

const headersOf = (properties: Receipt['userProperties'] | undefined): HeaderMap => {
  const pairs: string[] = []
  for (const [name, given] of Object.entries(properties ?? {})) {
    if (name === 'status' || name === 'iopa-origin' || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) continue
    for (const value of typeof given === 'string' ? [given] : given) if (!/[\0\r\n]/.test(value)) pairs.push(name, value)
  }
  return new HeaderMap(pairs)
}

/** What a broker's refusal means (MQTT 5 section 3.4.2.1), where it does not name the status itself. */
const STATUS_OF_REASON: Readonly<Record<number, number>> = { 131: 409, 135: 403, 144: 404, 145: 503, 149: 413, 151: 429, 153: 400 }

/** The acknowledgement of a PUBLISH as an answer; `accepted` is the status of one that says nothing but that the broker has the message. */
export const answerOfReceipt = ({ reasonCode, reasonString, userProperties }: Receipt, accepted: number): LinkAnswer => {
  const stated = Number(userProperty(userProperties, 'status') ?? 0)
  const status = stated >= 200 && stated <= 599 ? stated : reasonCode >= 0x80 ? (STATUS_OF_REASON[reasonCode] ?? 500) : accepted
  if (status < 400 || reasonString === '') return receivedAnswer(status)
  return receivedAnswer(status, { type: 'text/plain; charset=utf-8', payload: reasonString })
}
