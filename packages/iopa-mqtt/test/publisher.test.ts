import { describe, expect, test } from 'vitest'
import { type Connection, ConnectionLost } from '../src/remote/connection.ts'
import type { OutboundMessage, Receipt } from '../src/remote/message.ts'
import { Publisher } from '../src/remote/publisher.ts'
import { deferred } from '../src/remote/waiting.ts'

const RECEIPT: Receipt = { reasonCode: 0, reasonString: '', userProperties: {} }

/** A connection that answers when a test says so. */
class FakeConnection {
  readonly capabilities = { receiveMaximum: 1, maximumQos: 2, maximumPacketSize: 1_000_000 }
  readonly sent: { message: OutboundMessage; resolve: (receipt: Receipt) => void; reject: (error: unknown) => void }[] = []
  readonly #closed = deferred<{ reasonCode: number }>()
  readonly closed = this.#closed.promise
  connected = true

  publish(message: OutboundMessage): Promise<Receipt> {
    return new Promise((resolve, reject) => this.sent.push({ message, resolve, reject }))
  }

  destroy(): void {}

  lose(reasonCode: number): void {
    this.connected = false
    this.#closed.resolve({ reasonCode })
    for (const { reject } of this.sent) reject(new ConnectionLost(''))
  }
}

const message = (topic: string, bytes = 1): OutboundMessage => ({ topic, payload: new Uint8Array(bytes), qos: 1 })
const rest = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** A publisher, and the connections that it gets one after another. */
const make = (receiveMaximum = 1): { publisher: Publisher; next: () => FakeConnection; now: () => FakeConnection } => {
  let current = new FakeConnection()
  current.capabilities.receiveMaximum = receiveMaximum
  const publisher = new Publisher(100, () => Promise.resolve(current as unknown as Connection))
  const next = (): FakeConnection => {
    current = new FakeConnection()
    current.capabilities.receiveMaximum = receiveMaximum
    return current
  }
  return { publisher, next, now: () => current }
}

describe('publishing to a broker', () => {
  test('does not send again messages whose answer is no longer needed', async () => {
    const { publisher, next, now } = make()
    const published = publisher.publish(message('a'), undefined, () => false)
    await rest()
    const lost = now()
    next()
    lost.lose(0)
    await expect(published).rejects.toMatchObject({ status: 502, code: 'disconnected' })
    expect(now().sent).toEqual([])
  })

  test('continues with all waiting messages when the connection is lost', async () => {
    const { publisher, next, now } = make()
    const published = ['a', 'b', 'c'].map(topic => publisher.publish(message(topic)))
    await rest()
    const lost = now()
    expect(lost.sent.length).toBe(1)
    const fresh = next()
    lost.lose(0)
    for (let times = 0; times < 3; times++) {
      await rest()
      expect(fresh.sent.length).toBe(times + 1)
      fresh.sent[times]?.resolve(RECEIPT)
    }
    expect(await Promise.all(published)).toEqual([RECEIPT, RECEIPT, RECEIPT])
  })

  test('lets others pass a message that may not be sent again', async () => {
    const { publisher, next, now } = make()
    const first = publisher.publish(message('a'), undefined, () => false)
    const second = publisher.publish(message('b'), undefined, () => false)
    const third = publisher.publish(message('c'))
    for (const promise of [first, second]) promise.catch(() => undefined)
    await rest()
    const lost = now()
    const fresh = next()
    lost.lose(0)
    await expect(second).rejects.toMatchObject({ code: 'disconnected' })
    await rest()
    expect(fresh.sent.map(({ message: { topic } }) => topic)).toEqual(['c'])
    fresh.sent[0]?.resolve(RECEIPT)
    expect(await third).toBe(RECEIPT)
  })

  test('passes on the turn of an aborted message at any moment', async () => {
    for (let moment = 0; moment < 12; moment++) {
      const { publisher, now } = make()
      const abort = new AbortController()
      void publisher.publish(message('a'))
      await rest()
      const second = publisher.publish(message('b'), abort.signal)
      second.catch(() => undefined)
      void publisher.publish(message('c'))
      await rest()
      now().sent[0]?.resolve(RECEIPT)
      for (let turn = 0; turn < moment; turn++) await Promise.resolve()
      abort.abort(new Error('enough'))
      await rest()
      for (const { message: sent, resolve } of now().sent) if (sent.topic === 'b') resolve(RECEIPT)
      await rest()
      expect(now().sent.at(-1)?.message.topic, `after ${moment} turns`).toBe('c')
    }
  })

  test('takes the largest for the cause when the broker closes over and over because of its size', async () => {
    const { publisher, next, now } = make(10)
    const published = [publisher.publish(message('large', 100)), publisher.publish(message('small'))]
    for (let times = 0; times < 2; times++) {
      await rest()
      const lost = now()
      next()
      lost.lose(0x95)
    }
    const [large, small] = await Promise.allSettled(published)
    expect(large).toMatchObject({ status: 'fulfilled', value: { reasonCode: 0x95 } })
    expect(small).toMatchObject({ status: 'rejected', reason: { code: 'message-refused' } })
  })
})
