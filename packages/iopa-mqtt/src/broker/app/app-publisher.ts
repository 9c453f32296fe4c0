import { IopaError } from '@iopa/transport'
import { encodeMessageProperties } from '../../codec/message-properties.ts'
import type { PublishOptions } from '../../options.ts'
import type { Operation } from '../operation/operation.ts'
import type { Forwarder } from '../topics/forwarder.ts'
import { Message } from '../topics/message.ts'
import { NO_CHANGE, type RetainedMessages } from '../topics/retained-messages.ts'
import type { Topic, TopicTable } from '../topics/topic-table.ts'

export interface AppPublisherPorts {
  readonly topics: TopicTable
  readonly retained: RetainedMessages
  readonly forwarder: Forwarder
  readonly operation: Pick<Operation, 'clock' | 'batches' | 'journal'>
}

/** Publishes messages of the app itself: plain pub/sub, without the pipeline. */
export class AppPublisher {
  readonly #ports: AppPublisherPorts

  constructor(ports: AppPublisherPorts) {
    this.#ports = ports
  }

  /**
   * Publishes a message; resolves when the store has kept it.
   * @throws IopaError 400 if the name is not a topic, 409 if a route covers it, 503 if there is no room or the store fails
   */
  async publish(name: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const { topics, operation } = this.#ports
    const topic = topics.get(name)
    if (topic === null || name.startsWith('$')) throw new IopaError(400, 'bad-topic', `'${name}' is not a topic that messages can be published to.`)
    if (topic.isState)
      throw new IopaError(409, 'topic-is-state', `'${name}' is the state of ${topic.path}: change it there, or call app.notify('${topic.path}').`)
    const { qos = 0, retain = false, messageExpiryInterval, userProperties = {} } = options
    const expiresAt = messageExpiryInterval === undefined ? 0 : operation.clock.elapsed() + messageExpiryInterval * 1000
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    const pairs = Object.entries(userProperties).flatMap(([key, values]) => [values].flat().map(value => [key, value] as const))
    const properties = encodeMessageProperties({ ...options, userProperties: pairs })
    const message = Message.of(topic, { payload: bytes, qos, retain, properties, expiresAt })
    const kept = await new Promise<boolean>(resolve => {
      operation.batches.batch(() => this.#share(message, topic, resolve))
    })
    if (!kept) throw new IopaError(503, 'not-kept', `The message to '${name}' was not kept: the store fails. It was given to no client.`)
  }

  /** Retains and forwards a message; `done` gets whether the store has kept it. @throws IopaError 503 if there is no room */
  #share(message: Message, topic: Topic, done: (kept: boolean) => void): void {
    const { forwarder, operation } = this.#ports
    const { batches, journal } = operation
    if (message.qos > 0 && !forwarder.hasRoom(message, topic)) throw new IopaError(503, 'queues-full', 'The queues of this server are full.')
    const before = message.retain ? this.#ports.retained.publish(message) : NO_CHANGE
    if (before === null) throw new IopaError(503, 'too-many-retained', 'There is no room for a further retained message.')
    if (!journal.active || (message.qos === 0 && !message.retain)) {
      forwarder.relay(message, topic, () => done(true))
      return
    }
    forwarder.stage(message, topic, send =>
      journal.kept(kept => {
        batches.batch(() => {
          if (!kept) before()
          send(kept)
        })
        done(kept)
      })
    )
  }
}
