import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { Flusher } from '../../../src/broker/connection/send-buffer.ts'
import { Journal } from '../../../src/broker/operation/journal.ts'
import { Turns } from '../../../src/broker/operation/turns.ts'
import { ALLOWED, type Subscriber } from '../../../src/broker/ports.ts'
import { FanOuts } from '../../../src/broker/topics/fan-outs.ts'
import { Forwarder } from '../../../src/broker/topics/forwarder.ts'
import type { Message } from '../../../src/broker/topics/message.ts'
import { Recipient, Subscription } from '../../../src/broker/topics/subscription.ts'
import type { Topic, TopicTable } from '../../../src/broker/topics/topic-table.ts'
import type { StoreRecord } from '../../../src/store.ts'
import { notedTurns } from '../noted-turns.ts'

const MANY = 6000
const OPTIONS = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }

/** A forwarder to so many stored sessions, whose staged messages are records of a journal. */
const forwarding = () => {
  const clock = virtualClock()
  const writes: number[] = []
  const store = {
    load: async function* () {},
    write: async (batch: readonly StoreRecord[]) => void writes.push(batch.length),
    close: async () => undefined
  }
  const journal = new Journal(store, console, clock)
  let [staged, sent] = [0, 0]
  const noted = notedTurns(clock, () => staged + sent)
  const list = Array.from({ length: MANY }, (_, index) => {
    const outgoing = {
      congested: false,
      bound: false,
      deliver: () => undefined,
      stage: () => {
        staged++
        journal.add({ kind: 'delivery', key: String(index), value: undefined } as unknown as StoreRecord)
        return { kept: false, cancelled: false }
      },
      pump: () => void sent++
    }
    const session = { stored: true, ended: false, authorization: { of: () => ALLOWED }, outgoing } as unknown as Subscriber
    return new Recipient([new Subscription(session, 'a', null, OPTIONS)])
  })
  const topics = { recipients: () => ({ list, groups: [], empty: false }) } as unknown as TopicTable
  const fanOuts = new FanOuts(new Turns(noted.clock, new Flusher()), { authorizing: false, overwhelmed: false, forwarding: false }, () => undefined)
  const queues = { room: 1e9, allowance: () => 1e9, relieve: () => undefined }
  const forwarder = new Forwarder({ topics, fanOuts, queues, authorizations: { waiting: 0 }, journal })
  const message = { topic: 'a', size: 10, qos: 1, publisher: null, detach: () => message } as unknown as Message
  const publish = (done: (kept: boolean) => void = () => undefined): void =>
    forwarder.stage(message, { name: 'a' } as Topic, send =>
      journal.kept(kept => {
        send(kept)
        done(kept)
      })
    )
  return { clock, noted, writes, fanOuts, publish, staged: () => staged, sent: () => sent }
}

describe('a message that the store keeps for many sessions', () => {
  test('is staged in slices, all of them in one write, and sent in slices after that', async () => {
    const { clock, noted, writes, fanOuts, publish, staged, sent } = forwarding()
    let kept: boolean | undefined
    publish(outcome => {
      kept = outcome
    })
    await clock.advance(500)
    expect([staged(), sent(), kept, fanOuts.bytes]).toEqual([MANY, MANY, true, 0])
    expect(writes).toEqual([MANY])
    expect(noted.turns.length).toBeGreaterThan(6)
    expect(noted.most()).toBeLessThan(3300)
  })

  test('does not keep the store from writing when another one follows', async () => {
    const { clock, writes, publish, sent } = forwarding()
    let done = 0
    for (let index = 0; index < 4; index++) publish(() => done++)
    await clock.advance(500)
    expect([done, sent()]).toEqual([4, 4 * MANY])
    expect(writes).toEqual([MANY, MANY, MANY, MANY])
  })
})
