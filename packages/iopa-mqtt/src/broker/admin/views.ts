import type { Clock } from '@iopa/transport'
import { decodeMessageProperties } from '../../codec/message-properties.ts'
import { REASON } from '../../codec/reason-codes.ts'
import { FOREVER } from '../../options.ts'
import type { ClientEvent } from '../operation/client-events.ts'
import type { Delivery } from '../session/delivery-queue.ts'
import { type Session, sessionOf } from '../session/session.ts'
import type { Message } from '../topics/message.ts'
import type { Subscription } from '../topics/subscription.ts'
import { sessionName, userIdOf } from './names.ts'

/*
 * What an administrator sees: plain JSON, without passwords, and without payloads unless they are asked for.
 */

export function sessionView(session: Session, clock: Clock): Record<string, unknown> {
  const { user, clientId, connection, context, outgoing, expiryInterval, expiresAt } = session
  return {
    key: sessionName(user, clientId),
    clientId,
    user: userIdOf(user),
    connected: connection !== null,
    since: dateOf(session.since),
    address: connection?.remoteAddress ?? session.address,
    protocolVersion: session.version,
    cleanStart: context['mqtt.CleanStart'] ?? null,
    keepAlive: context['mqtt.KeepAlive'] ?? null,
    expiryInterval: expiryInterval === FOREVER ? null : expiryInterval,
    expiresAt: connection !== null || expiresAt === Number.POSITIVE_INFINITY ? null : moment(expiresAt, clock),
    subscriptions: session.subscriptions.size,
    queued: outgoing.queue.size,
    queuedBytes: outgoing.queue.bytes,
    inflight: outgoing.inflight.size,
    dropped: session.dropped,
    will: session.will?.message.topic ?? null
  }
}

export const subscriptionView = ({ filter, qos, noLocal, retainAsPublished, retainHandling, identifier }: Subscription): Record<string, unknown> => ({
  filter,
  qos,
  noLocal,
  retainAsPublished,
  retainHandling,
  identifier: identifier === 0 ? null : identifier
})

/** A subscription with its session. */
export function recipientView(subscription: Subscription): Record<string, unknown> {
  const { user, clientId, connected } = sessionOf(subscription.session)
  return { key: sessionName(user, clientId), clientId, user: userIdOf(user), connected, ...subscriptionView(subscription) }
}

export function messageView(message: Message, clock: Clock, payload: boolean): Record<string, unknown> {
  const { contentType, userProperties } = decodeMessageProperties(message.properties)
  return {
    topic: message.topic,
    qos: message.qos,
    bytes: message.payloadEnd - message.payloadStart,
    ...(contentType === undefined ? undefined : { contentType }),
    ...(userProperties === undefined ? undefined : { userProperties }),
    ...(message.expires ? { expiresAt: moment(message.expiresAt, clock) } : undefined),
    ...(payload ? payloadView(message.payload) : undefined)
  }
}

export const deliveryView = (
  { message, qos, retain, packetId, underWay, released }: Delivery,
  clock: Clock,
  payload: boolean
): Record<string, unknown> => ({
  ...messageView(message, clock, payload),
  qos,
  retain,
  state: released ? 'released' : underWay ? 'sent' : 'waiting',
  ...(packetId > 0 ? { packetId } : undefined)
})

export function eventView({ number, at, kind, subject, reasonCode, ...details }: ClientEvent): Record<string, unknown> {
  const { user, clientId } = subject
  return {
    number,
    at: dateOf(at),
    event: kind,
    key: sessionName(user, clientId),
    clientId,
    user: userIdOf(user),
    ...details,
    ...(reasonCode === undefined ? undefined : { reasonCode, reason: REASONS.get(reasonCode) ?? 'unknown' })
  }
}

/** Names of reason codes of a DISCONNECT, such as `session-taken-over`. */
const REASONS: ReadonlyMap<number, string> = new Map([
  ...Object.entries(REASON).map(([name, code]) => [code, name.toLowerCase().replaceAll('_', '-')] as const),
  [REASON.SUCCESS, 'normal-disconnection'],
  [REASON.UNSPECIFIED_ERROR, 'connection-lost']
])

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** As text where it is text. */
function payloadView(payload: Buffer): Record<string, string> {
  try {
    return { payload: utf8.decode(payload) }
  } catch {
    return { payloadBase64: payload.toString('base64') }
  }
}

const dateOf = (at: number): string => new Date(at).toISOString()

/** A time of `clock.elapsed` as a date. */
const moment = (elapsed: number, clock: Clock): string => dateOf(clock.now() + elapsed - clock.elapsed())
