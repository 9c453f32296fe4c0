import { IopaError } from '@iopa/transport'
import { type Connection, ConnectionLost } from './connection.ts'
import type { OutboundMessage, Receipt } from './message.ts'
import { abortable, deferred } from './waiting.ts'

/** Publishes over one connection after another: at most as many messages at once as the broker takes, those of QoS 1 until they are answered. */
export class Publisher {
  readonly #maxWaiting: number
  readonly #ready: (signal: AbortSignal | undefined) => Promise<Connection>
  #inFlight = 0
  readonly #turns: (() => void)[] = []
  #waiting = 0
  /** The message that goes alone, to find out whether the broker closes the connection because of it. */
  #alone: OutboundMessage | null = null
  /** Messages that a connection has not answered; those of one that is gone stay, to find out why it is. */
  readonly #underWay = new WeakMap<Connection, Set<OutboundMessage>>()

  /** `maxWaiting` publishes wait for a connection or for their turn, at most; `ready` gives the connection as soon as there is one. */
  constructor(maxWaiting: number, ready: (signal: AbortSignal | undefined) => Promise<Connection>) {
    this.#maxWaiting = maxWaiting
    this.#ready = ready
  }

  /**
   * Publishes, and resolves with the broker's answer, also with a refusal. A message of QoS 1 is sent again on the next connection when one
   * was lost before the answer and `again` says so; any other then rejects with 503, for it may have arrived.
   * @throws IopaError 413 when the broker takes no packet of this size, 503 when too many wait; the reason of `signal`
   */
  async publish(message: OutboundMessage, signal?: AbortSignal, again: () => boolean = () => true): Promise<Receipt> {
    if (this.#waiting >= this.#maxWaiting) throw new IopaError(503, 'overloaded', 'Too many messages wait for the broker: try again later.')
    this.#waiting++
    try {
      for (let complaints = 0, losses = 0; ; ) {
        const connection = await this.#ready(signal)
        assertSize(message, connection)
        if (message.qos > connection.capabilities.maximumQos) message = { ...message, qos: connection.capabilities.maximumQos }
        const suspect = losses >= MAX_LOSSES
        let sentAt = 0
        try {
          return await this.#send(connection, message, signal, suspect, () => {
            sentAt = performance.now()
          })
        } catch (error) {
          if (!(error instanceof ConnectionLost)) throw error
          const soon = sentAt > 0 && performance.now() - sentAt < SOON
          // One that does not work but is there yet would be tried again and again.
          connection.destroy()
          const { reasonCode } = await abortable(connection.closed, signal)
          if (message.qos !== 1 || !again())
            throw new IopaError(502, 'disconnected', 'The connection to the broker was lost; the message may have arrived.', { cause: error })
          // MQTT 3.1.1 gives no reason for a refusal: a message that was under way at several losses goes alone, and counts as the cause if that ends as well.
          if (reasonCode === 0 && soon) {
            if (suspect)
              throw new IopaError(502, 'message-refused', `The broker closes the connection when it gets a message to ${message.topic}.`, {
                cause: error
              })
            losses++
          }
          // The broker may have closed because of this very message, and would do so again; or because of one that was under way beside it.
          if (!COMPLAINTS.has(reasonCode) || ++complaints < MAX_COMPLAINTS) continue
          if (reasonCode === PACKET_TOO_LARGE && isLargest(message, this.#underWay.get(connection))) return REFUSED_AS_TOO_LARGE
          throw new IopaError(502, 'message-refused', `The broker closes the connection when it gets this message (0x${reasonCode.toString(16)}).`)
        }
      }
    } finally {
      this.#waiting--
    }
  }

  /** `alone` waits until no other message is under way, and has the others wait; `sent` is called when the message leaves. */
  async #send(connection: Connection, message: OutboundMessage, signal: AbortSignal | undefined, alone: boolean, sent: () => void): Promise<Receipt> {
    if (message.qos === 0) return connection.publish(message, signal)
    // The broker's Receive Maximum (MQTT 5 section 4.9).
    const most = Math.min(connection.capabilities.receiveMaximum, MAX_IN_FLIGHT)
    while (this.#inFlight >= most || this.#alone !== null || (alone && this.#inFlight > 0)) {
      const turn = deferred<void>()
      this.#turns.push(turn.resolve)
      await abortable(turn.promise, signal).catch(error => {
        const index = this.#turns.indexOf(turn.resolve)
        if (index === -1) this.#turns.shift()?.()
        else this.#turns.splice(index, 1)
        throw error
      })
      if (!connection.connected) {
        this.#turns.shift()?.()
        throw new ConnectionLost('The connection was lost.')
      }
    }
    this.#inFlight++
    if (alone) this.#alone = message
    let underWay = this.#underWay.get(connection)
    if (!underWay) this.#underWay.set(connection, (underWay = new Set()))
    underWay.add(message)
    try {
      sent()
      const receipt = await connection.publish(message, signal)
      underWay.delete(message)
      return receipt
    } catch (error) {
      if (!(error instanceof ConnectionLost)) underWay.delete(message)
      throw error
    } finally {
      this.#inFlight--
      if (alone) {
        this.#alone = null
        for (const turn of this.#turns.splice(0)) turn()
      } else this.#turns.shift()?.()
    }
  }
}

/** Losses of a connection without a reason, soon after a message was sent, before the message goes alone. */
const MAX_LOSSES = 2
/** Milliseconds within which a broker closes because of what it got. */
const SOON = 5000

/** QoS 1 messages on their way to a broker that sets no limit itself. */
const MAX_IN_FLIGHT = 64
const PACKET_TOO_LARGE = 0x95
/** The receipt of a message that the broker has answered with a DISCONNECT. */
const REFUSED_AS_TOO_LARGE: Receipt = { reasonCode: PACKET_TOO_LARGE, reasonString: '', userProperties: {} }
/** DISCONNECT reasons that speak of what we have sent (MQTT 5 section 3.14.2.1). */
const COMPLAINTS: ReadonlySet<number> = new Set([0x81, 0x82, 0x90, 0x94, PACKET_TOO_LARGE, 0x99, 0x9a, 0x9b])
/** How often a message may be under way when the broker complains before it counts as the cause. */
const MAX_COMPLAINTS = 2

const isLargest = ({ payload }: OutboundMessage, underWay: ReadonlySet<OutboundMessage> | undefined): boolean => {
  for (const other of underWay ?? []) if (other.payload.length > payload.length) return false
  return true
}

/** An upper bound of the packet's size against the broker's Maximum Packet Size: a larger one would cost the connection, again and again. */
const assertSize = ({ topic, payload, properties }: OutboundMessage, { capabilities: { maximumPacketSize } }: Connection): void => {
  if (topic.length * 3 + payload.length + 4096 <= maximumPacketSize) return
  const size = Buffer.byteLength(topic) + payload.length + (properties ? Buffer.byteLength(JSON.stringify(properties)) : 0) + 16
  if (size > maximumPacketSize)
    throw new IopaError(413, 'packet-too-large', `The broker takes packets of ${maximumPacketSize} bytes at most; this message needs ${size}.`)
}
