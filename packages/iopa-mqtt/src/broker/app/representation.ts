import { type Context, isIopaError, type SealedAnswer } from '@iopa/transport'
import { encodeMessageProperties } from '../../codec/message-properties.ts'
import { NO_BYTES } from '../../codec/publish-decoder.ts'
import { asBuffer } from '../../codec/utf8.ts'
import type { Grant } from '../ports.ts'
import type { Session } from '../session/session.ts'
import { Message } from '../topics/message.ts'
import type { Topic } from '../topics/topic-table.ts'
import type { Publication } from './publication.ts'

/**
 * The answer to a GET as a message to the subscribers of its topic; 404 and 410 are an empty payload, any other failure is null. So is a path that
 * no route answers, unless it was state before: `wasState`.
 */
export function stateMessage(topic: Topic, answer: SealedAnswer, wasState = false): Message | null {
  const { ok } = answer
  if (ok) {
    const { payloadBytes, headerPairs, type } = answer
    return Message.of(topic, { payload: asBuffer(payloadBytes), qos: 2, retain: false, properties: representationProperties(headerPairs, type) })
  }
  const gone = (answer.status === 404 && (wasState || !isNoRoute(answer))) || answer.status === 410
  if (!gone) return null
  const properties = encodeMessageProperties({ userProperties: [['status', String(answer.status)]] })
  return Message.of(topic, { payload: NO_BYTES, qos: 2, retain: false, properties })
}

/** Sends a state to a session, which gets it as `grant` says; null for a session that does not. */
export function sendState(session: Session, topic: Topic, answer: SealedAnswer, grant: Grant | null, wasState = false): void {
  if (grant === null || session.ended) return
  const message = stateMessage(topic, answer, wasState)
  if (message) session.outgoing.give(message, grant.qos, false, grant.identifiers, true)
}

/** The answer to a request as a message to its Response Topic (MQTT 5 section 4.10). */
export function replyMessage(topic: Topic, { message, properties: { correlationData } }: Publication, context: Context): Message {
  const answer = context.response
  const { headerPairs, type } = answer
  return Message.of(topic, {
    payload: context.requestedMethod === 'HEAD' || answer.isStream ? NO_BYTES : asBuffer(answer.payloadBytes),
    qos: message.qos,
    retain: false,
    properties: representationProperties(headerPairs, type, [['status', String(answer.status)]], correlationData)
  })
}

/** True if no route has answered. */
const isNoRoute = (answer: SealedAnswer): boolean => isIopaError(answer.error) && answer.error.code === 'no-route'

/** Content type and headers of an answer, as properties of a message. */
function representationProperties(
  pairs: readonly string[],
  type: string,
  further: readonly (readonly [string, string])[] = [],
  correlationData?: Uint8Array
): Buffer {
  const userProperties: (readonly [string, string])[] = [...further]
  for (let at = 0; at < pairs.length; at += 2) userProperties.push([pairs[at] as string, pairs[at + 1] as string])
  if (correlationData === undefined) return encodeMessageProperties(type === '' ? { userProperties } : { contentType: type, userProperties })
  return encodeMessageProperties(type === '' ? { correlationData, userProperties } : { contentType: type, correlationData, userProperties })
}
