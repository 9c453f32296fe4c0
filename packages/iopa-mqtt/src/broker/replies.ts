import type { Context } from '@iopa/transport'
import { NO_BYTES } from '../codec/publish-decoder.ts'
import { asBuffer } from '../codec/utf8.ts'
import type { Broker } from './broker.ts'
import { ANONYMOUS } from './identity.ts'
import { Message } from './message.ts'
import type { Publication } from './publication.ts'
import type { Session } from './session.ts'
import { representationProperties } from './states.ts'

/** Publishes the app's answer to a Response Topic, to those who may have it. */
export function publishReply(broker: Broker, publication: Publication, context: Context, responseTopic: string): void {
  const answer = context.response
  const topic = broker.topics.get(responseTopic)
  if (topic === null) return
  const { correlationData } = publication.properties
  const properties = representationProperties(answer, [['status', String(answer.status)]], correlationData)
  const { distribution, losses, options } = broker
  const asker = publication.session
  const given = distribution.deliver(
    Message.of(
      topic.name,
      topic.bytes,
      context.requestedMethod === 'HEAD' || answer.isStream ? NO_BYTES : asBuffer(answer.payloadBytes),
      publication.message.qos,
      false,
      properties,
      0,
      null
    ),
    topic,
    options.replies === 'subscribers' ? null : session => isSameUser(session, asker)
  )
  if (given > 0) return
  broker.counters.dropped++
  losses.note('an answer has no subscriber that may have it', topic.name)
}

/** True for sessions of one user; without a user, for one session (design: MQTT rulings g). */
function isSameUser(session: Session, asker: Session): boolean {
  return asker.user === ANONYMOUS ? session === asker : session.user === asker.user
}
