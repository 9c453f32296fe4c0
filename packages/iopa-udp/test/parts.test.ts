import { getEventListeners } from 'node:events'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { connect, type DatagramNetwork } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { FaultBudget } from '../src/fault-budget.ts'
import { udp } from '../src/index.ts'
import { WaitingRequests } from '../src/waiting-requests.ts'

test('complaints are spent by the second, and each second has new ones', async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const budget = new FaultBudget(clock)
  const taken = (): number => Array.from({ length: 200 }, () => budget.take()).filter(Boolean).length
  expect([taken(), taken()]).toEqual([100, 0])
  await clock.advance(1000)
  expect(taken()).toBe(100)
})

describe('waiting requests', () => {
  test('end each after its own time', async () => {
    const clock = virtualClock()
    const waiting = new WaitingRequests(clock, 100, 10)
    const ended: string[] = []
    const add = (number: number): void =>
      waiting.add(number, undefined, { resolve: () => undefined, reject: () => ended.push(`${number} at ${clock.now() - start}`) })
    const start = clock.now()
    add(1)
    await clock.advance(40)
    add(2)
    await clock.advance(200)
    expect(ended).toEqual(['1 at 100', '2 at 140'])
  })

  test('leave neither a listener nor a timer behind', () => {
    let timers = 0
    const clock = {
      now: () => 0,
      elapsed: () => 0,
      setTimeout: () => ++timers,
      clearTimeout: () => void timers--
    }
    const waiting = new WaitingRequests(clock as never, 100, 10)
    const { signal } = new AbortController()
    waiting.add(1, signal, { resolve: () => undefined, reject: () => undefined })
    expect([getEventListeners(signal, 'abort').length, timers]).toEqual([1, 1])
    waiting.take(1)
    expect([getEventListeners(signal, 'abort').length, timers]).toEqual([0, 0])
  })
})

test('a channel of plain datagrams closes the socket of each request, answered or given up', async () => {
  const clock = virtualClock()
  const inner = virtualNetwork({ clock })
  let open = 0
  let gate = Promise.resolve()
  const network: DatagramNetwork = {
    bind: async address => {
      const channel = await inner.bind(address)
      open++
      await gate
      const close = channel.close.bind(channel)
      channel.close = () => {
        open--
        return close()
      }
      return channel
    }
  }
  const peer = await inner.bind({ host: '127.0.0.1', port: 7001 })
  peer.open({ message: (bytes, address, port) => peer.send(bytes, port, address), error: () => undefined })
  const channel = await connect(udp({ framing: 'raw', network: network, clock }), new URL('udp://127.0.0.1:7001'), { clock })
  const answer = await clock.runUntil(channel.send({ 'iopa.Body': 'x' }))
  expect(await answer.text()).toBe('x')
  await clock.settle()
  expect(open).toBe(0)
  const abort = new AbortController()
  let release = (): void => undefined
  gate = new Promise(resolve => {
    release = resolve
  })
  const given = channel.send({ 'iopa.Body': 'y', 'iopa.CallCancelled': abort.signal })
  given.catch(() => undefined)
  await clock.settle()
  expect(open).toBe(1)
  abort.abort(new Error('enough'))
  await expect(given).rejects.toThrow('enough')
  release()
  await clock.settle()
  expect(open).toBe(0)
  await channel.close()
})
