import type { Context as OwnedContext } from '@iopa/transport'
import { receivedAnswer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { NO_OPTIONS } from '../src/codec/options.ts'
import type { Exchange } from '../src/exchanges/exchange.ts'
import type { NotificationSource } from '../src/observers/notifications.ts'
import { Observer, type ObserverPorts } from '../src/observers/observers.ts'
import type { CoapRequest } from '../src/resources/request.ts'

const answer = (payload: string) => receivedAnswer(200, { payload })

/** An observer that is notified of each state at once. */
const observing = (sequence: number) => {
  const ends: string[] = []
  const told: string[] = []
  let source: NotificationSource | undefined
  const notifier = (given: NotificationSource) => {
    source = given
    return { changed: () => void source!.notification(), dismiss: () => {}, close: () => {} }
  }
  const context = { end: (reason: string) => void ends.push(reason) } as unknown as OwnedContext
  const ports: ObserverPorts = {
    respond: () => {},
    notification: (observer, { payload }) => {
      told.push(`${observer.sequence} ${payload}`)
      observer.last = payload === 'bye'
      return { code: CODE.CONTENT, options: NO_OPTIONS, payload: new Uint8Array(0) }
    },
    relayed: () => ({ code: CODE.CONTENT, options: NO_OPTIONS, payload: new Uint8Array(0) }),
    disconnected: () => {}
  }
  const observer = new Observer({ exchange: {} as Exchange, request: {} as CoapRequest, context, sequence, ports, notifier })
  observer.deliver(answer('first'))
  return { observer, told, ends, source: source! }
}

describe('an observer', () => {
  test('numbers its notifications with 24 bits, which begin again after the last (RFC 7641 section 4.4)', () => {
    const { observer, told } = observing(0xfffffe)
    for (const state of ['a', 'b', 'c']) observer.deliver(answer(state))
    expect(told).toEqual(['16777215 a', '0 b', '1 c'])
  })

  test('says the state that is the newest when it is asked', () => {
    const { observer, told, source } = observing(1)
    observer.deliver(answer('a'))
    source.notification()
    expect(told).toEqual(['2 a', '3 a'])
  })

  test('says nothing after its last notification, and ends when that has arrived', async () => {
    const { observer, told, ends, source } = observing(1)
    observer.deliver(answer('a'))
    source.delivered()
    observer.deliver(answer('bye'))
    observer.deliver(answer('b'))
    expect(told).toEqual(['2 a', '3 bye'])
    await Promise.resolve()
    expect(ends).toEqual([])
    source.delivered()
    await Promise.resolve()
    expect(ends).toEqual(['unsubscribe'])
  })
})
