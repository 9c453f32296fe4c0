import type { Broker } from './broker.ts'
import type { Delivery } from './delivery.ts'
import type { Message } from './message.ts'
import { ALLOWED, Recipient, UNKNOWN } from './recipients.ts'
import type { Session } from './session.ts'
import type { Topic } from './topic-table.ts'

/** Brings messages to those whose subscriptions match and who may have them. No client waits for another. */
export class Distribution {
  readonly #broker: Broker

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Sends a message now. */
  deliver(message: Message, topic: Topic): void {
    this.#recipients(message, topic, offer)
  }

  /**
   * Puts a message into the queues that the store keeps, and calls back when all of them have it; the function that comes with it
   * then sends the message to everybody, or takes it back.
   */
  stage(message: Message, topic: Topic, staged: (send: (kept: boolean) => void) => void): void {
    const direct: Recipient[] = []
    const waiting: (readonly [Session, Delivery])[] = []
    let open = 1
    const settle = (): void => {
      if (--open === 0) staged(kept => this.#send(message, direct, waiting, kept))
    }
    const accept = (recipient: Recipient): void => {
      const { session } = recipient
      if (!session.stored || recipient.qos === 0) {
        direct.push(recipient)
        return
      }
      const delivery = session.deliveries.stage(message, recipient)
      if (delivery) waiting.push([session, delivery])
    }
    this.#recipients(message, topic, recipient => {
      const verdict = recipient.session.verdicts.of(topic, recipient)
      if (verdict === ALLOWED) accept(recipient)
      else if (verdict === UNKNOWN) {
        open++
        const asked = recipient.session.verdicts.ask(topic, allowed => {
          if (allowed) accept(recipient)
          settle()
        })
        if (!asked) settle()
      }
    })
    settle()
  }

  #send(message: Message, direct: readonly Recipient[], waiting: readonly (readonly [Session, Delivery])[], kept: boolean): void {
    for (const [, delivery] of waiting) {
      delivery.kept = true
      delivery.cancelled = !kept
    }
    if (kept) for (const recipient of direct) recipient.session.deliveries.deliver(message, recipient)
    for (const [session] of waiting) session.deliveries.pump()
  }

  #recipients(message: Message, topic: Topic, visit: (recipient: Recipient, message: Message, topic: Topic) => void): void {
    const { list, groups } = this.#broker.topics.recipients(topic)
    for (let at = 0; at < list.length; at++) {
      const recipient = list[at] as Recipient
      const target = recipient.session === message.publisher ? recipient.own : recipient
      if (target !== null) visit(target, message, topic)
    }
    for (const group of groups) {
      const member = group.pick(topic.name)
      if (member) visit(new Recipient([member]), message, topic)
    }
  }
}

function offer(recipient: Recipient, message: Message, topic: Topic): void {
  const { session } = recipient
  const verdict = session.verdicts.of(topic, recipient)
  if (verdict === ALLOWED) session.deliveries.deliver(message, recipient)
  else if (verdict === UNKNOWN) {
    let answered = false
    const asked = session.verdicts.ask(topic, allowed => {
      answered = true
      if (allowed) session.deliveries.deliver(message, recipient)
    })
    if (!asked) session.drop()
    else if (!answered) message.detach()
  }
}
