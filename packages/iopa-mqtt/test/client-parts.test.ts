import type { LinkAnswer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { Observers } from '../src/client/observers.ts'
import { answerOf } from '../src/client/pending-requests.ts'
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

describe('the observers of a link', () => {
  test('get a first message of each topic of a filter, and one of a topic once', async () => {
    const observers = new Observers(0)
    const [wild, exact]: [string[], string[]] = [[], []]
    const sink = (heard: string[]) => ({ next: async (answer: LinkAnswer) => void heard.push(await answer.text()), accepted: () => {} })
    observers.add('a/+', sink(wild))
    observers.add('a/1', sink(exact))
    const retained = (topic: string, text: string): void => observers.receive(message(topic, text, { retain: true }))
    retained('a/1', 'first')
    retained('a/2', 'second')
    retained('a/1', 'again')
    await new Promise(resolve => setImmediate(resolve))
    expect(wild).toEqual(['first', 'second', 'again'])
    expect(exact).toEqual(['first'])
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
