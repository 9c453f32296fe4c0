import { virtualClock } from '@iopa/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SendBuffer } from '../src/broker/connection/send-buffer.ts'
import { Journal } from '../src/broker/operation/journal.ts'
import { Quota } from '../src/broker/operation/quota.ts'
import { Delivery, DeliveryQueue } from '../src/broker/session/delivery-queue.ts'
import { PacketIdentifiers } from '../src/broker/session/inflight-messages.ts'
import { Message } from '../src/broker/topics/message.ts'
import { RetainedMessages } from '../src/broker/topics/retained-messages.ts'

const message = (topic: string, payload = 'x', expiresAt = 0): Message =>
  Message.of({ name: topic, bytes: Buffer.from(topic) }, { payload: Buffer.from(payload), qos: 1, retain: true, expiresAt })

describe('an outbox', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), from: fc.nat(9000), length: fc.oneof(fc.nat(200), fc.nat(9000)), next: fc.boolean() }),
    fc.record({ kind: fc.constant('reserve' as const), length: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 70_000 })) }),
    fc.constant({ kind: 'flush' as const }),
    fc.constant({ kind: 'drain' as const })
  )

  it('writes exactly what was put in, in order, in one write a flush, whatever the mixture', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(fc.boolean(), { maxLength: 20 }), (steps, takes) => {
        const memory = Buffer.from(Array.from({ length: 18_100 }, (_, index) => index % 251))
        const expected: Buffer[] = []
        const written: Buffer[] = []
        let scheduled = 0
        let writes = 0
        const outbox = new SendBuffer(
          {
            write: bytes => {
              writes++
              written.push(Buffer.from(bytes))
              return takes[writes % Math.max(1, takes.length)] ?? true
            }
          },
          1000,
          () => void scheduled++
        )
        let last = 0
        let mark = 0
        for (const one of steps) {
          if (one.kind === 'append') {
            const start = one.next ? last : one.from
            outbox.append(memory, start, (last = Math.min(18_100, start + one.length)))
            expected.push(memory.subarray(start, last))
          } else if (one.kind === 'reserve') {
            mark = (mark + 1) % 256
            const at = outbox.reserve(one.length)
            outbox.block.fill(mark, at, at + one.length)
            expected.push(Buffer.alloc(one.length, mark))
          } else {
            const before = writes
            if (one.kind === 'flush') outbox.flush()
            else outbox.drained()
            expect(writes - before).toBeLessThanOrEqual(1)
          }
          expect(outbox.size + Buffer.concat(written).length).toBe(Buffer.concat(expected).length)
        }
        for (let round = 0; outbox.size > 0 && round < 5; round++) outbox.drained()
        expect(Buffer.concat(written).equals(Buffer.concat(expected))).toBe(true)
        expect(scheduled).toBeLessThanOrEqual(steps.length)
      }),
      { numRuns: 300 }
    )
  })

  it('does not copy what lies beside each other', () => {
    const memory = Buffer.alloc(1000)
    const written: Uint8Array[] = []
    const outbox = new SendBuffer({ write: bytes => written.push(bytes) > 0 }, 1000, () => undefined)
    for (let at = 0; at < 1000; at += 100) outbox.append(memory, at, at + 100)
    outbox.flush()
    expect(written).toHaveLength(1)
    expect(written[0]?.buffer).toBe(memory.buffer)
  })

  it('does not hold a large chunk for a small piece of it', () => {
    const memory = Buffer.alloc(100_000)
    const written: Uint8Array[] = []
    const outbox = new SendBuffer({ write: bytes => written.push(bytes) > 0 }, 1000, () => undefined)
    outbox.append(memory, 0, 100)
    outbox.flush()
    expect(written[0]?.buffer).not.toBe(memory.buffer)
  })

  it('is full only when its sink has asked to wait and the mark is reached', () => {
    const outbox = new SendBuffer({ write: () => false }, 1000, () => undefined)
    const bytes = Buffer.alloc(600)
    outbox.append(bytes, 0, 600)
    outbox.append(bytes, 0, 600)
    expect(outbox.full).toBe(false)
    outbox.flush()
    outbox.append(bytes, 0, 600)
    expect(outbox.full).toBe(false)
    outbox.append(bytes, 0, 600)
    expect(outbox.full).toBe(true)
    outbox.drained()
    expect(outbox.full).toBe(false)
  })

  it('takes nothing after it was closed', () => {
    let writes = 0
    const outbox = new SendBuffer({ write: () => ++writes > 0 }, 1000, () => undefined)
    outbox.append(Buffer.alloc(10), 0, 10)
    outbox.close()
    outbox.append(Buffer.alloc(10), 0, 10)
    outbox.flush()
    expect(writes).toBe(0)
    expect(outbox.size).toBe(0)
  })
})

describe('a delivery queue', () => {
  const total = () => new Quota(1e9)
  const limits = { queueMessages: 1e9, queueBytes: 1e9 }

  it('keeps the order, and of each state the newest in the place of the one before', () => {
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

  it('finds the place of a state after thousands have left the queue before it', () => {
    const queue = new DeliveryQueue(limits, total())
    for (let index = 0; index < 3000; index++) queue.push(new Delivery(message('stream', String(index)), 1, false, [], false), () => undefined)
    queue.push(new Delivery(message('state', 'old'), 1, false, [], true), () => undefined)
    for (let index = 0; index < 2500; index++) queue.shift()
    const replaced: string[] = []
    queue.push(new Delivery(message('state', 'new'), 1, false, [], true), old => replaced.push(old.message.payload.toString()))
    expect(replaced).toEqual(['old'])
    expect(queue.clear().at(-1)?.message.payload.toString()).toBe('new')
  })

  it('is bounded in number, in bytes, and by what all queues hold', () => {
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

describe('packet identifiers', () => {
  it('go from 1 to 65,535 and around, past those in use', () => {
    const identifiers = new PacketIdentifiers()
    const inUse = new Set([2, 3])
    expect([identifiers.next(inUse), identifiers.next(inUse)]).toEqual([1, 4])
    for (let index = 5; index <= 65_535; index++) expect(identifiers.next(inUse)).toBe(index)
    expect(identifiers.next(inUse)).toBe(1)
  })
})

describe('retained messages', () => {
  const clock = virtualClock()
  const retainedMessages = (): RetainedMessages =>
    new RetainedMessages({ maxRetained: 10, maxRetainedBytes: 10_000 }, new Journal(null, console, clock), clock)
  const content = { qos: 0, retain: true, properties: Buffer.alloc(0), expiresAt: 0, publisher: null }

  it('weigh what they hold, also when they are replaced, removed or expire', () => {
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

  it('do not hold the chunk they came in', () => {
    const retained = retainedMessages()
    const chunk = Buffer.alloc(50_000)
    retained.set(new Message({ name: 'a', bytes: Buffer.from('a') }, { ...content, bytes: chunk, payloadStart: 10, payloadEnd: 20 }))
    expect(retained.get('a', 0)?.bytes.buffer).not.toBe(chunk.buffer)
  })
})
