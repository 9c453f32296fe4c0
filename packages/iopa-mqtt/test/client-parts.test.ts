import { describe, expect, test } from 'vitest'
import { Observers } from '../src/client/observers.ts'
import { answerOf } from '../src/client/pending-requests.ts'
import type { Connection } from '../src/remote/connection.ts'
import type { InboundMessage } from '../src/remote/message.ts'

const message = (topic: string, payload: string, more: Partial<InboundMessage> = {}): InboundMessage => ({
  topic,
  payload: Buffer.from(payload),
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  subscriptionIdentifiers: [],
  properties: {},
  ...more
})

const granting = { subscribe: () => Promise.resolve([0]) } as unknown as Connection

describe('the observers of a client', () => {
  const make = (queueBytes = 1000, max = 100) => new Observers(0, { queueMessages: 1000, queueBytes }, max)
  const heard = async (observer: ReturnType<Observers['add']>): Promise<string[]> => {
    observer.end()
    const texts: string[] = []
    for await (const answer of observer.answers()) texts.push(await answer.text())
    return texts
  }

  test('keep the newest messages, as many as their bytes allow, and one that is larger', async () => {
    const observers = make(10)
    const [several, one] = [observers.add('a'), observers.add('b')]
    for (const text of ['1111', '2222', '3333', '4444']) observers.receive(message('a', text))
    observers.receive(message('b', 'x'.repeat(50)))
    expect(await heard(several)).toEqual(['3333', '4444'])
    expect(await heard(one)).toEqual(['x'.repeat(50)])
  })

  test('get a first message of each topic of a filter, and one of a topic again on a new connection alone', async () => {
    const observers = make()
    const [wild, exact] = [observers.add('a/+'), observers.add('a/1')]
    const retained = (topic: string, text: string): void => observers.receive(message(topic, text, { retain: true }))
    retained('a/1', 'first')
    retained('a/2', 'second')
    retained('a/1', 'again')
    await observers.resume(granting)
    retained('a/1', 'after')
    expect(await heard(wild)).toEqual(['first', 'second', 'again', 'after'])
    expect(await heard(exact)).toEqual(['first', 'after'])
  })

  test('are bounded in their filters', () => {
    const observers = make(1000, 2)
    for (const filter of ['a', 'b', 'a']) observers.add(filter)
    expect(() => observers.add('c')).toThrow(expect.objectContaining({ status: 503, code: 'too-many-observers' }))
  })
})

describe('a message as an answer', () => {
  test.each([
    ['99', 200],
    ['600', 200],
    ['201.5', 200],
    ['no', 200],
    ['404', 404]
  ])('with status %s has status %i', (status, expected) => {
    expect(answerOf(message('a', 'x', { properties: { userProperties: { status } } })).status).toBe(expected)
  })

  test('has no header that could break a line or has no name for one', () => {
    const userProperties = { good: 'x', bad: 'x\r\nevil: y', 'no name': 'z' }
    expect([...answerOf(message('a', 'x', { properties: { userProperties } })).headers]).toEqual([['good', 'x']])
  })
})
