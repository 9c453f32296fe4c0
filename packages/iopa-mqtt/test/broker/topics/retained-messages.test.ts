import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { Journal } from '../../../src/broker/operation/journal.ts'
import { Message } from '../../../src/broker/topics/message.ts'
import { RetainedMessages } from '../../../src/broker/topics/retained-messages.ts'

const message = (topic: string, payload = 'x', expiresAt = 0): Message =>
  Message.of({ name: topic, bytes: Buffer.from(topic) }, { payload: Buffer.from(payload), qos: 1, retain: true, expiresAt })

describe('retained messages', () => {
  const clock = virtualClock()
  const retainedMessages = (): RetainedMessages =>
    new RetainedMessages({ maxRetained: 10, maxRetainedBytes: 10_000 }, new Journal(null, console, clock), clock)
  const content = { qos: 0, retain: true, properties: Buffer.alloc(0), expiresAt: 0, publisher: null }

  test('count their bytes, also when they are replaced, deleted or expire', () => {
    const retained = retainedMessages()
    retained.set(message('a', 'x'.repeat(100)))
    retained.set(message('a', 'x'))
    retained.set(message('b', 'x', 50))
    expect(retained.size).toBe(2)
    expect(retained.bytes).toBe(message('a').size + message('b').size)
    expect(retained.get('b', 49)).toBeDefined()
    expect([...retained.match('#', () => 51)].flatMap(found => found?.topic ?? [])).toEqual(['a'])
    expect(retained.sweep(51)).toEqual(['b'])
    retained.delete('a')
    expect([retained.size, retained.bytes]).toEqual([0, 0])
  })

  test('do not hold the chunk that they came in', () => {
    const retained = retainedMessages()
    const chunk = Buffer.alloc(50_000)
    retained.set(new Message({ name: 'a', bytes: Buffer.from('a') }, { ...content, bytes: chunk, payloadStart: 10, payloadEnd: 20 }))
    expect(retained.get('a', 0)?.bytes.buffer).not.toBe(chunk.buffer)
  })
})
