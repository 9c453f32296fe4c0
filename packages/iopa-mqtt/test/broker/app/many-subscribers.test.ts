import { virtualClock } from '@iopa/testing'
import type { Host, SealedAnswer } from '@iopa/transport'
import { expect, test } from 'vitest'
import { StateUpdates } from '../../../src/broker/app/state-updates.ts'
import type { TopicObservations } from '../../../src/broker/app/topic-observations.ts'
import { Flusher } from '../../../src/broker/connection/send-buffer.ts'
import { Turns } from '../../../src/broker/operation/turns.ts'
import type { Subscriber, TopicView } from '../../../src/broker/ports.ts'
import { FanOuts } from '../../../src/broker/topics/fan-outs.ts'
import type { RouteIndex } from '../../../src/broker/topics/route-index.ts'
import { Recipient, Subscription } from '../../../src/broker/topics/subscription.ts'
import type { Topic, TopicTable } from '../../../src/broker/topics/topic-table.ts'
import { notedTurns } from '../noted-turns.ts'

const MANY = 5000
const OPTIONS = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }

test('a change of a state is passed on to many sessions in slices, and is queued when all of them have it', async () => {
  const clock = virtualClock()
  let [state, read] = [0, 0]
  const noted = notedTurns(clock, () => read)
  const received = new Map<number, number>()
  const sessionAt = (index: number): Subscriber => {
    const session = {
      stored: true,
      ended: false,
      subscriptions: new Map(),
      authorization: { ask: (_topic: TopicView, done: (allowed: boolean) => void) => (done(true), true) },
      outgoing: { give: () => void received.set(index, state) }
    }
    return session as unknown as Subscriber
  }
  let list = Array.from({ length: MANY }, (_, index) => new Recipient([new Subscription(sessionAt(index), 'lights/+', null, OPTIONS)]))
  const topic = { name: 'lights/hall', path: '/lights/hall', routable: true, answersGet: true } as Topic
  const answer = { ok: true, status: 200, payloadBytes: new Uint8Array(1), headerPairs: [], type: '' } as unknown as SealedAnswer
  const host = {
    represent: async () => {
      read++
      return answer
    }
  }
  const topics = { recipients: () => ({ list, groups: [], empty: false }), ofPath: () => topic }
  const fanOuts = new FanOuts(new Turns(noted.clock, new Flusher()), { authorizing: false, overwhelmed: false, forwarding: false }, () => undefined)
  const states = new StateUpdates({
    host: host as unknown as Host,
    topics: topics as unknown as TopicTable,
    routes: {} as RouteIndex,
    observations: {} as TopicObservations,
    fanOuts
  })
  state = 1
  states.changed({ path: topic.path, origin: null })
  let queued = false
  // Changes that come before the last subscriber was visited: not one walk for each of them.
  for (state = 2; state < 50; state++) states.changed({ path: topic.path, origin: null })
  states.whenQueued(topic, () => {
    queued = [...received.values()].every(value => value === state) && received.size === MANY
  })
  // One more subscribes, to a walk that has not begun, before the last change.
  const late = new Recipient([new Subscription(sessionAt(MANY), 'lights/+', null, OPTIONS)])
  list = [...list, late]
  states.changed({ path: topic.path, origin: null })
  expect([read < MANY, queued]).toEqual([true, false])
  await clock.advance(500)
  expect([queued, received.size, fanOuts.busy]).toEqual([true, MANY + 1, false])
  expect(read).toBeLessThanOrEqual(4 * MANY)
  expect(noted.most()).toBeLessThan(3300)
})
