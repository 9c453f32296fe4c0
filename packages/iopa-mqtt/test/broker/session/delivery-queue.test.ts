import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Quota } from '../../../src/broker/operation/quota.ts'
import { Delivery, DeliveryQueue } from '../../../src/broker/session/delivery-queue.ts'
import { Message } from '../../../src/broker/topics/message.ts'

const message = (topic: string, payload = 'x', expiresAt = 0): Message =>
  Message.of({ name: topic, bytes: Buffer.from(topic) }, { payload: Buffer.from(payload), qos: 1, retain: true, expiresAt })

describe('a delivery queue', () => {
  const total = () => new Quota(1e9)
  const limits = { queueMessages: 1e9, queueBytes: 1e9 }

  test('keeps the order, and of each state the newest in the place of the one before', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant('shift'), fc.tuple(fc.nat(5), fc.boolean())), { maxLength: 300 }), steps => {
        const sum = total()
        const queue = new DeliveryQueue(limits, sum)
        let model: { topic: string; payload: string; state: boolean }[] = []
        const replaced: Delivery[] = []
        steps.forEach((one, index) => {
          if (typeof one === 'string') {
            const expected = model[0]
            model = model.slice(1)
            const delivery = queue.shift()
            expect(delivery?.message.payload.toString()).toBe(expected?.payload)
            return
          }
          const [number, state] = one
          const topic = `t/${number}`
          const entry = { topic, payload: String(index), state }
          queue.push(new Delivery(message(topic, String(index)), 1, false, [], state), old => void replaced.push(old))
          const before = state ? model.findIndex(other => other.state && other.topic === topic) : -1
          if (before >= 0) model[before] = entry
          else model.push(entry)
          expect(queue.size).toBe(model.length)
        })
        expect(sum.used).toBe(queue.bytes)
        expect(queue.clear().map(delivery => delivery.message.payload.toString())).toEqual(model.map(entry => entry.payload))
        expect([queue.size, queue.bytes, sum.used]).toEqual([0, 0, 0])
      })
    )
  })

  test('finds the place of a state after thousands have left the queue before it', () => {
    const queue = new DeliveryQueue(limits, total())
    for (let index = 0; index < 3000; index++) queue.push(new Delivery(message('stream', String(index)), 1, false, [], false), () => undefined)
    queue.push(new Delivery(message('state', 'old'), 1, false, [], true), () => undefined)
    for (let index = 0; index < 2500; index++) queue.shift()
    const replaced: string[] = []
    queue.push(new Delivery(message('state', 'new'), 1, false, [], true), old => replaced.push(old.message.payload.toString()))
    expect(replaced).toEqual(['old'])
    expect(queue.clear().at(-1)?.message.payload.toString()).toBe('new')
  })

  test('is bounded in number, in bytes, and by what all queues hold', () => {
    const push = (queue: DeliveryQueue, payload: string): boolean =>
      queue.push(new Delivery(message('t', payload), 1, false, [], false), () => undefined)
    const few = new DeliveryQueue({ queueMessages: 2, queueBytes: 1e9 }, total())
    expect([push(few, '1'), push(few, '2'), push(few, '3')]).toEqual([true, true, false])
    few.shift()
    expect(push(few, '3')).toBe(true)
    const small = new DeliveryQueue({ queueMessages: 100, queueBytes: 500 }, total())
    // One that is larger than the bound may wait alone.
    expect([push(small, 'x'.repeat(1000)), push(small, '2')]).toEqual([true, false])
    const shared = new Quota(500)
    const one = new DeliveryQueue(limits, shared)
    const other = new DeliveryQueue(limits, shared)
    expect([push(one, 'x'.repeat(300)), push(other, 'x'.repeat(300))]).toEqual([true, false])
    one.clear()
    expect(push(other, 'x'.repeat(300))).toBe(true)
  })
})
